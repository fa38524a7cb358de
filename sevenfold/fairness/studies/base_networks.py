"""The base networks of a debiasing study, with the table of people and the splits they are trained on."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sevenfold.config import ConfigError, prepare
from sevenfold.fairness.data import SOURCES
from sevenfold.fairness.data.load import open_source
from sevenfold.fairness.data.table import Split, Table, attribute, small_cells, split_rows, split_table
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
    ) -> None:
        prepare(SOURCES, source, "source")
        self.source, self.root, self.protected = source, root, protected
        self.min_count, self.seeds, self.base = min_count, distinct("seeds", seeds), base
        self._split: dict[tuple[bool, int], Split] = {}
        self._networks: dict[Path, dict[int, TabularNet]] = {}

    @cached_property
    def people(self) -> tuple[Table, str]:
        """The table, and the attribute that is protected in it."""
        return open_source(self.source, self.root, self.protected)

    def check(self) -> None:
        """Open the table; refuse one with too few rows in a cell of attribute and label."""
        table, protected = self.people
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
            split = split_table(table, protected, seed, drop_protected=drop, min_count=self.min_count)
            self._split = {(drop, seed): split}
        return self._split[drop, seed]

    def test_attributes(self, seed: int) -> dict[str, Tensor]:
        """Return all attributes of the test rows, the protected one first."""
        table, protected = self.people
        rows = split_rows(len(table.y), seed)[2]
        names = dict.fromkeys([protected, *table.attributes])
        return {name: torch.as_tensor(attribute(table, name)[rows]) for name in names}

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
        return [
            dataclasses.replace(objective, measure=measure, epsilon=epsilon)
            for measure in measures
            for epsilon in epsilons
        ]
    except ConfigError as error:
        plural = {"measure": "measures", "epsilon": "epsilons"}
        raise ConfigError(plural.get(error.key, f"objective.{error.key}"), error.message) from None
