"""The base networks of a debiasing study, with the table of people and the splits they are trained on."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sevenfold.config import ConfigError, prepare, suggest
from sevenfold.errors import InputError
from sevenfold.fairness.data import SOURCES
from sevenfold.fairness.data.encoder import Encoder
from sevenfold.fairness.data.load import open_source
from sevenfold.fairness.data.table import Split, Table, attribute, small_cells, split_rows, split_table
from sevenfold.fairness.evaluate import intersections
from sevenfold.fairness.groups import FEW, SMALL, TWO, Groups, Layout, assign
from sevenfold.fairness.levels import column, levels
from sevenfold.fairness.network import TabularNet
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.training import Training, new_network, train_copies
from sevenfold.files import replace_file
from sevenfold.ranges import DepthOrNone, ShareBelowOne, Size

SYNTHETIC = {"name": "synthetic"}


@dataclass(frozen=True)
class BaseNetwork:
    """Options of the base networks, of which one is trained for each seed, all at once.

    Args:
        width: units of a block.
        depth: blocks after the first.
        dropout: share of units left out in training.
        training: options of their training.
    """

    width: Size = 32
    depth: DepthOrNone = 10
    dropout: ShareBelowOne = 0.2
    training: Training = Training()


class BaseNetworks:
    """A table of people, with the protected attribute among the features or without, and its base networks.

    The networks of all seeds are trained side by side on their training rows and saved in ``bases/`` of the
    run folder, from where every process loads them.
    """

    def __init__(
        self,
        source: Mapping[str, Any],
        root: str,
        protected: str,
        min_count: int,
        seeds: Sequence[int],
        base: BaseNetwork,
        groups: Mapping[str, Any] | None = None,
        cross: bool = False,
    ) -> None:
        prepare(SOURCES, source, "source")
        self.rules, self.cross = dict(groups or {}), cross
        self.source, self.root, self.protected = source, root, protected
        self.min_count, self.seeds, self.base = min_count, distinct("seeds", seeds), base
        self._split: dict[tuple[bool, int], Split] = {}
        self._networks: dict[Path, dict[int, TabularNet]] = {}

    @cached_property
    def people(self) -> tuple[Table, str]:
        """The table, and the attribute that is protected in it; ``a and b`` where groups are by several."""
        table, protected = open_source(self.source, self.root, None if self.rules else self.protected)
        if self.rules and table.name == "synthetic" != self.source["name"]:
            self.rules = {"a": None}  # the files are not there: synthetic people have another attribute
        return table, protected or " and ".join(self.rules)

    @cached_property
    def all_groups(self) -> Groups | None:
        """The groups of all people by ``groups``; None where ``protected`` says who is privileged."""
        if not self.rules:
            return None
        table, known = self.people[0], self.columns()
        for name in self.rules:
            if name not in known:
                raise ConfigError("groups", f"{table.name} has no attribute '{name}'. {suggest(name, known)}")
        own = {} if table.text is None else table.text.rules
        try:
            rules = [
                own[name] if rule is None and name in own else levels(name, known[name], rule)
                for name, rule in self.rules.items()
            ]
            columns = {name: column(known[name], name) for name in self.rules}
            return assign(rules, columns, cross=self.cross, small=SMALL)
        except InputError as error:
            raise ConfigError("groups", str(error)) from None

    def columns(self) -> dict[str, Any]:
        """Return the attributes by which people may be grouped: as they are, else as 0 and 1."""
        table = self.people[0]
        return {**table.attributes, **table.people}

    def check(self) -> None:
        """Open the table; refuse one with too few rows in a cell of attribute and label."""
        table, protected = self.people
        if self.all_groups is not None:
            return
        few = small_cells(torch.as_tensor(table.y), torch.as_tensor(attribute(table, protected)))
        if few:
            # checked before any training: rates over a handful of rows are noise
            raise ConfigError("protected", f"too few rows to estimate anything: {'; '.join(few)}")

    def setting(self, drop: bool) -> str:
        """Return the name of table, attribute, and whether it is a feature, such as ``compas-race-with``."""
        table, protected = self.people
        return f"{table.name}-{protected.replace(' ', '_')}-{'without' if drop else 'with'}"

    def split(self, drop: bool, seed: int) -> Split:
        """Return the split of a seed; the last one is cached."""
        if (drop, seed) not in self._split:
            table, protected = self.people
            groups = self.all_groups
            split = split_table(
                table, protected, seed, drop_protected=drop, min_count=self.min_count,
                cells=None if groups is None else groups.cell.numpy(),
            )  # fmt: skip
            self._split = {(drop, seed): split}
        return self._split[drop, seed]

    def groups(self, cells: Tensor) -> Groups:
        """Return the groups of people with cells (n,) of the protected attribute, named as in their file."""
        if self.all_groups is not None:
            return replace(self.all_groups, cell=cells)
        table, protected = self.people
        rule = None if table.text is None else table.text.rules.get(protected)
        if rule is None:
            return Groups(cells)
        layout = Layout(rule.groups, TWO.member, {protected: (0, 1)}, SMALL, FEW)
        return Groups(cells, layout, (rule,))

    def encoder(self, split: Split) -> Encoder | None:
        """Return what makes a split's rows of the user's file; None for a table that is no such file."""
        text = self.people[0].text
        return None if text is None else Encoder.of(text, split)

    def test_groups(self, seed: int) -> dict[str, Tensor]:
        """Return who of the test rows is in which group, by name; the protected attribute first."""
        table, protected = self.people
        rows = split_rows(len(table.y), seed)[2]
        if self.all_groups is not None:
            people = self.all_groups.rows(torch.as_tensor(rows))
            return {name: people.mask(g) for g, name in enumerate(people.names)}
        names = dict.fromkeys([protected, *table.attributes])
        return intersections({name: torch.as_tensor(attribute(table, name)[rows]) for name in names})

    def network(self, drop: bool, seed: int, folder: Path) -> TabularNet:
        """Return a base network, loaded from the run folder, or trained together with those of all seeds."""
        path = folder / "bases" / f"{self.setting(drop)}.pt"
        if path not in self._networks:
            if not path.is_file():
                self._train(drop, path)
            states = torch.load(path, weights_only=True)
            networks = {
                number: self._load_state(state) for number, state in zip(self.seeds, states, strict=True)
            }
            self._networks = {path: networks}
        return self._networks[path][seed]

    def _new(self, features: int, seed: int) -> TabularNet:
        base = self.base
        return new_network(features, seed, width=base.width, depth=base.depth, dropout=base.dropout)

    def _load_state(self, state: dict[str, Tensor]) -> TabularNet:
        network = self._new(state["0.weight"].shape[1], 0)
        network.load_state_dict(state)
        return network.eval()

    def _train(self, drop: bool, path: Path) -> None:
        splits = [self.split(drop, seed) for seed in self.seeds]
        networks = [self._new(s.train.x.shape[1], seed) for s, seed in zip(splits, self.seeds, strict=True)]
        networks_of_seeds = train_all(networks, splits, self.base.training, self.seeds)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file():  # another process may have written it: all use the same networks
            with replace_file(path) as temporary:
                torch.save([network.state_dict() for network in networks_of_seeds], temporary)


def train_all(
    networks: list[TabularNet], splits: Sequence[Split], training: Training, seeds: list[int]
) -> list[TabularNet]:
    """Train networks side by side, or one by one where their numbers of features differ (merged levels)."""
    train = [(s.train.x, s.train.y) for s in splits]
    val = [(s.val.x, s.val.y) for s in splits]
    # merged rare levels depend on the training rows, so that numbers of features may differ
    if len({x.shape for x, _ in train}) == 1:
        return train_copies(networks, train, val, training, seeds)
    return [
        train_copies([n], [t], [v], training, [seed])[0]
        for n, t, v, seed in zip(networks, train, val, seeds, strict=True)
    ]


def distinct(option: str, values: Sequence[Any]) -> list[Any]:
    """Return values of an option after checking that there is one at least and none twice."""
    if not values or len(set(values)) < len(values):
        raise ConfigError(option, f"needs at least one value, and none twice, got {list(values)}")
    return list(values)


def objectives(measures: Sequence[str], epsilons: Sequence[float], objective: Objective) -> list[Objective]:
    """Return an objective for every measure and bound, with the other options of ``objective``."""
    distinct("measures", measures)
    distinct("epsilons", [f"{epsilon:g}" for epsilon in epsilons])
    try:
        made = [
            dataclasses.replace(objective, measure=measure, epsilon=epsilon)
            for measure in measures
            for epsilon in epsilons
        ]
        # constraints stand in place of measures and bounds, so that all of these are one
        made = list({each.title: each for each in made}.values())
        return made
    except ConfigError as error:
        plural = {"measure": "measures", "epsilon": "epsilons"}
        raise ConfigError(plural.get(error.key, f"objective.{error.key}"), error.message) from None
