"""People for debiasing: rows to train a base network on, and the trials of a comparison."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from datamodules.nas import Items
from datamodules.sampling import EpochLoader, EpochSampler, WithoutEpoch, placement
from sevenfold.config import ConfigError, prepare
from sevenfold.fairness import METHODS, POSTPROCESSORS
from sevenfold.fairness.data.load import open_source
from sevenfold.fairness.data.table import Part, Split, Table, attribute, small_cells, split_rows, split_table
from sevenfold.fairness.objective import Objective
from sevenfold.records import read_folder

SYNTHETIC = {"name": "synthetic"}


class FairnessRows(pl.LightningDataModule):
    """Train, validation and test rows of one table; batches are x, y, a.

    Args:
        source: a component of ``sevenfold.fairness.data.SOURCES``.
        root: folder of the real data sets; without it people are synthetic.
        protected: the attribute; ``sex or race`` combines two.
        split: shares of train, validation and test.
        drop_protected: leave the attribute out of the features.
        min_count: one-hot levels rarer than this in train are grouped.
        batch_size: of training.
        seed_data: of split and order.
    """

    def __init__(
        self,
        *,
        source: dict[str, Any] = SYNTHETIC,
        root: str = "data",
        protected: str = "a",
        split: tuple[float, float, float] = (0.6, 0.2, 0.2),
        drop_protected: bool = False,
        min_count: int = 0,
        batch_size: int = 64,
        seed_data: int = 0,
    ) -> None:
        super().__init__()
        if min(split) <= 0 or abs(sum(split) - 1) > 1e-9:
            raise ConfigError("split", f"must be three shares that add up to 1, got {list(split)}")
        self.batch_size, self.seed = batch_size, seed_data
        table, protected = open_source(source, root, protected)
        self.split = split_table(
            table, protected, seed_data, shares=split, drop_protected=drop_protected, min_count=min_count
        )

    def example(self) -> torch.Tensor:
        """Return one input."""
        return self.split.train.x[0]

    def train_dataloader(self) -> EpochLoader:
        """Load shuffled batches; the order depends on seed and epoch alone."""
        data = WithoutEpoch(_rows(self.split.train))
        sampler = EpochSampler(data, seed=self.seed, **placement(self))
        return EpochLoader(data, batch_size=self.batch_size, sampler=sampler, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        """Load the validation rows."""
        return DataLoader(_rows(self.split.val), batch_size=4096)

    def test_dataloader(self) -> DataLoader:
        """Load the test rows."""
        return DataLoader(_rows(self.split.test), batch_size=4096)


def _rows(part: Part) -> TensorDataset:
    return TensorDataset(part.x, part.y, part.a)


@dataclass(frozen=True)
class Setting:
    """One table with one attribute, among the features or dropped; all seeds' splits on demand."""

    table: Table
    protected: str
    drop: bool
    min_count: int
    seeds: list[int]

    @property
    def name(self) -> str:
        """Return its name, such as ``compas-race-with``."""
        return f"{self.table.name}-{self.protected.replace(' ', '_')}-{'without' if self.drop else 'with'}"

    def split(self, seed: int) -> Split:
        """Return the split of a seed."""
        return split_table(
            self.table, self.protected, seed, drop_protected=self.drop, min_count=self.min_count
        )

    def test_attributes(self, seed: int) -> dict[str, torch.Tensor]:
        """Return all attributes of the test rows, the protected one first."""
        rows, names = split_rows(len(self.table.y), seed)[2], [self.protected, *self.table.attributes]
        return {name: torch.as_tensor(attribute(self.table, name)[rows]) for name in dict.fromkeys(names)}


@dataclass(frozen=True)
class Trial:
    """One base network (``seed``) under one objective, with the methods still to run on it, by label."""

    setting: Setting
    seed: int
    objective: Objective
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)

    def group(self, label: str) -> str:
        """Return what a method's records are averaged under."""
        return f"{self.setting.name}/{self.objective.measure}@{self.objective.epsilon:g}/{label}"


class FairnessTrials(Items):
    """Every method on every base network, for every measure and bound.

    Args:
        source, root, protected, min_count: as for :class:`FairnessRows`.
        drop_protected: with the attribute among the features (false), without, or both.
        methods: components of ``METHODS`` and ``POSTPROCESSORS`` by label; null removes one.
        measures, epsilons: the objectives.
        objective: their other options.
        seeds: one base network, split and search each.

    A trial whose record is in the run's folder is done and left out.
    """

    def __init__(
        self,
        *,
        methods: dict[str, Any],
        source: dict[str, Any] = SYNTHETIC,
        root: str = "data",
        protected: str = "a",
        drop_protected: list[bool] = [False],  # noqa: B006 (never changed)
        min_count: int = 0,
        measures: list[str] = ["spd"],  # noqa: B006
        epsilons: list[float] = [0.05],  # noqa: B006
        objective: Objective = Objective(),
        seeds: list[int] = [1],  # noqa: B006
    ) -> None:
        super().__init__()
        known = {**METHODS, **POSTPROCESSORS}
        self.methods = {label: node for label, node in methods.items() if node is not None}
        for label, node in self.methods.items():
            prepare(known, node, f"methods.{label}")()
        if not self.methods or not seeds:
            raise ConfigError("methods", "needs at least one method, and seeds at least one number")
        self.objectives = [
            dataclasses.replace(objective, measure=measure, epsilon=epsilon)
            for measure in measures
            for epsilon in epsilons
        ]
        table, protected = open_source(source, root, protected)
        few = small_cells(torch.as_tensor(table.y), torch.as_tensor(attribute(table, protected)))
        if few:
            raise ConfigError("protected", f"too few rows to estimate anything: {'; '.join(few)}")
        self.settings = [Setting(table, protected, drop, min_count, seeds) for drop in drop_protected]

    def setup(self, stage: str) -> None:
        """List what is still to run; every device gets at least an empty trial."""
        done = set()
        if self.trainer is not None:
            done = {record["key"] for record in read_folder(Path(self.trainer.default_root_dir) / "records")}
        trials = []
        for setting in self.settings:
            for seed in setting.seeds:
                for objective in self.objectives:
                    whole = Trial(setting, seed, objective)
                    rest = {
                        label: node
                        for label, node in self.methods.items()
                        if f"{whole.group(label)}/{seed:05d}" not in done
                    }
                    if rest:
                        trials.append(Trial(setting, seed, objective, rest))
        idle = Trial(self.settings[0], self.settings[0].seeds[0], self.objectives[0])
        self.items = trials + [idle] * (placement(self)["world_size"] - len(trials))
