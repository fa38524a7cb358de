"""Cells with known accuracies for predictors."""

from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from datamodules.facts import WithFacts
from datamodules.sampling import EpochLoader, EpochSampler
from sevenfold.config import build
from sevenfold.nas.benchmarks import BENCHMARKS, BenchmarkNode
from sevenfold.nas.predictors.batch import CellBatch, CellFacts
from sevenfold.nas.predictors.sample import Cells, Split, draw_split
from sevenfold.nas.predictors.training import draw_order
from sevenfold.ranges import AtLeastTwo, Count, NonNegativeInt, Seed

DIGITS = {"name": "digits-nb201"}


class TrainingBatches(Dataset[CellBatch]):
    """Batch ``index`` of ``epoch``, for all members of an ensemble, each in a separate order.

    Items are indexed by ``(epoch, index)``.
    """

    def __init__(self, cells: Cells, *, seed: int, members: int, batch_size: int) -> None:
        self.cells, self.seed, self.members, self.size = cells, seed, members, batch_size

    def __len__(self) -> int:
        return -(-len(self.cells.targets) // self.size)

    def __getitem__(self, place: tuple[int, int]) -> CellBatch:
        epoch, index = place
        order = draw_order([self.seed], epoch, len(self.cells.targets), members=self.members)
        return as_batch(self.cells, order[:, index * self.size : (index + 1) * self.size].numpy())


def as_batch(cells: Cells, rows: slice | NDArray[np.int64] = slice(None)) -> CellBatch:
    """Return some cells as tensors."""
    targets = cells.targets[rows].astype(np.float32)
    return {"archs": torch.as_tensor(cells.archs[rows].astype(np.int64)), "targets": torch.as_tensor(targets)}


class PredictorCells(WithFacts[CellFacts]):
    """Cells of a benchmark with the final error of each, for one predictor; no network is in two splits.

    Args:
        benchmark: its name and options.
        train, val, test: cells in each split; validation and test come as one batch each, with ``removed``,
            the number of drawn cells that were left out because their network had come up before.
        run: number of a run, or null for the mean of all.
        members: copies of the predictor, each with a separate order.
        batch_size: cells in a training batch.
        seed: of the draw and the orders.
    """

    batch: ClassVar[type] = CellBatch

    def __init__(
        self,
        *,
        benchmark: BenchmarkNode = DIGITS,
        train: AtLeastTwo = 200,
        val: AtLeastTwo = 500,
        test: AtLeastTwo = 2000,
        run: NonNegativeInt | None = None,
        members: Count = 1,
        batch_size: AtLeastTwo = 32,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.table = build(BENCHMARKS, benchmark, "benchmark")
        self.sizes, self.run, self.seed = (train, val, test), run, seed
        self.members, self.batch_size = members, batch_size

    @cached_property
    def cells(self) -> Split:
        """Return the cells, drawn when they are first needed."""
        train, val, test = self.sizes
        run: int | Literal["mean"] = "mean" if self.run is None else self.run
        return draw_split(self.table, train=train, test=val + test, seed=self.seed, run=run)

    def facts(self) -> CellFacts:
        """Return the targets of all training cells."""
        return CellFacts(as_batch(self.cells.train)["targets"])

    def train_dataloader(self) -> EpochLoader:
        """Load batches in an order that depends on seed and epoch alone."""
        data = TrainingBatches(
            self.cells.train, seed=self.seed, members=self.members, batch_size=self.batch_size
        )
        return EpochLoader(data, batch_size=None, sampler=EpochSampler(data, seed=self.seed, shuffle=False))

    def _whole(self, part: slice) -> DataLoader:
        item = as_batch(self.cells.test, part)
        item["removed"] = torch.tensor(self.cells.removed)
        return DataLoader([item], batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader:
        """Load all validation cells at once."""
        return self._whole(slice(None, self.sizes[1]))

    def test_dataloader(self) -> DataLoader:
        """Load all test cells at once."""
        return self._whole(slice(self.sizes[1], None))
