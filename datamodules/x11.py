"""Curve tables, divided into architectures to learn from and to judge on."""

from dataclasses import dataclass
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from datamodules.sampling import EpochLoader, EpochSampler, WithoutEpoch
from sevenfold.config import ConfigError, name_of
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.x11.files import open_curves
from sevenfold.nas.x11.tensor import CurveTensor, curve_tensor, leaked, split_rows
from sevenfold.ranges import AtLeastTwo, Count, NonNegativeInt, PositiveShare, Seed
from sevenfold.seeding import numpy_generator

DIGITS = {"name": "digits-nb201"}


@dataclass(frozen=True)
class Judged:
    """Test architectures; ``fit`` is the training part where another model than the fitted one is judged.

    ``judge`` holds runs that nothing was fitted to. ``leak`` is the share of test rows whose network is among
    the training rows under another string.
    """

    name: str
    test: CurveTensor
    judge: CurveTensor
    leak: float
    fit: CurveTensor | None = None


class CurveTables(pl.LightningDataModule):
    """Learning curves of a benchmark or a file; no network is in both parts unless that is wanted.

    Args:
        path: a curve table (see :func:`sevenfold.nas.x11.files.open_curves`) instead of ``benchmark``.
        test_path: a second table to judge on; then everything in the first is trained on.
        benchmark: name and options of a benchmark with learning curves.
        metrics: "split/metric" of every curve that is modelled; the first is the one reported first.
        epochs: length of the curves; default: the commonest.
        split: whether networks (``class``) or strings are divided.
        beside: a second division, with a model of its own, whose scores stand beside; null: none.
        train: share, or number, of architectures to learn from.
        runs: runs to learn from, by position; default: all.
        judge_run: a run that judges only, by position.
        archs: take only so many architectures, at random.
        batch_size: of networks' training; trees see everything at once.
        seed: of the division and the order.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        test_path: str | None = None,
        benchmark: dict[str, Any] = DIGITS,
        metrics: list[str] = ["val/acc"],  # noqa: B006 (never changed)
        epochs: Count | None = None,
        split: Literal["class", "string"] = "class",
        beside: Literal["class", "string"] | None = "string",
        train: PositiveShare = 0.9,
        runs: list[NonNegativeInt] | None = None,
        judge_run: NonNegativeInt | None = None,
        archs: Count | None = None,
        batch_size: AtLeastTwo = 64,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        if not metrics:
            raise ConfigError("metrics", "needs at least one")
        options = {key: value for key, value in benchmark.items() if key != "name"}
        bench = open_curves(path) if path else load_benchmark(name_of(benchmark, "benchmark"), **options)
        self.table = curve_tensor(bench, metrics, epochs=epochs)
        self.seed, self.batch_size = seed, batch_size
        if archs is not None:
            chosen = numpy_generator(seed, "archs").permutation(len(self.table.archs))[:archs]
            self.table = self.table.part(chosen)
        count = self.table.values.shape[1]
        for name, places in {
            "runs": runs or [],
            "judge_run": [] if judge_run is None else [judge_run],
        }.items():
            if any(not 0 <= place < count for place in places):
                raise ConfigError(name, f"is {places}; the table has {count} runs")
        kept = [run for run in range(count) if run != judge_run] if runs is None else runs
        self.known = self.table.runs(kept)
        self.last = None if judge_run is None else self.table.runs([judge_run])
        self.split, self.beside, self.train = split, beside, train
        self.other = None
        if test_path:
            self.other = curve_tensor(open_curves(test_path), metrics, epochs=self.table.epochs)
        self.training, self.judged = self._divided()

    def _divided(self) -> tuple[CurveTensor, list[Judged]]:
        """Return the training part and what is judged."""
        if self.other is not None:
            leak = leaked_from(self.known, self.other)
            return self.known, [Judged("test", self.other, self.other, leak)]
        first = self._judged("test", self.split)
        assert first.fit is not None
        judged = [Judged("test", first.test, first.judge, first.leak)]
        if self.beside is not None and self.beside != self.split:
            judged.append(self._judged(f"test_{self.beside}", self.beside))
        return first.fit, judged

    def _judged(self, name: str, by: Literal["class", "string"]) -> Judged:
        stream = numpy_generator(self.seed, "x11 split")
        train, test = split_rows(self.known, self.train, by=by, seed_stream=stream)
        judge = self.known if self.last is None else self.last
        leak = leaked(self.known, train, test)
        return Judged(name, self.known.part(test), judge.part(test), leak, self.known.part(train))

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        """Leave everything where it is."""
        return batch

    def train_dataloader(self) -> EpochLoader:
        """Load numbers of training rows in an order that depends on seed and epoch alone."""
        rows = WithoutEpoch(TensorDataset(torch.arange(len(self.training.archs))))
        sampler = EpochSampler(rows, seed=self.seed)
        whole = len(rows) > self.batch_size  # a last batch of one row would have no variance
        return EpochLoader(rows, batch_size=self.batch_size, sampler=sampler, drop_last=whole)

    def test_dataloader(self) -> DataLoader:
        """Hand on every test part, whole."""
        return DataLoader(self.judged, batch_size=None)


def leaked_from(train: CurveTensor, test: CurveTensor) -> float:
    """Return the share of the rows of a second table whose network is in the first."""
    import numpy as np

    from sevenfold.nas.x11.tensor import class_keys

    if type(train.space) is not type(test.space):
        return 0.0
    known = class_keys(train.space, np.concatenate([train.archs, test.archs.astype(train.archs.dtype)]))
    return float(np.isin(known[len(train.archs) :], known[: len(train.archs)]).mean())
