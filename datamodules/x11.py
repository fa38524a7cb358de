"""Curve tables, divided into architectures to learn from and to judge on."""

from typing import ClassVar, Literal, TypeVar

import torch
from torch.utils.data import DataLoader

from datamodules.facts import WithFacts
from datamodules.sampling import EpochLoader, EpochSampler, WithoutEpoch
from sevenfold.config import ConfigError, name_of
from sevenfold.nas.benchmarks import BenchmarkNode, load_benchmark
from sevenfold.nas.x11.batch import CurveBatch, CurveFacts, RowNumbers
from sevenfold.nas.x11.files import open_curves
from sevenfold.nas.x11.parts import Division, JudgedPart, leaked_from
from sevenfold.nas.x11.tensor import curve_tensor
from sevenfold.ranges import AtLeastTwo, Count, NonNegativeInt, PositiveShare, Seed
from sevenfold.seeding import numpy_generator

B = TypeVar("B", CurveBatch, JudgedPart)
DIGITS = {"name": "digits-nb201"}


class CurveTables(WithFacts[CurveFacts]):
    """Learning curves of a benchmark or a file; no network is in both parts unless that is wanted.

    Args:
        path: a curve table (see :func:`sevenfold.nas.x11.files.open_curves`) instead of ``benchmark``.
        test_path: a second table to judge on; then everything in the first is trained on.
        benchmark: name and options of a benchmark with learning curves.
        metrics: "split/metric" of every curve that is modelled; the first is the one reported first.
        epochs: length of the curves; default: the commonest.
        split: whether networks (``class``) or strings are divided.
        beside: a second division, with a separate model, whose scores are reported too; null: none.
        train: share, or number, of architectures to learn from.
        runs: runs to learn from, by position; default: all.
        judge_run: a run that judges only, by position.
        archs: take only so many architectures, at random.
        batch_size: of networks' training; trees see everything at once.
        seed: of the division and the order.
    """

    batch: ClassVar[type] = CurveBatch

    def __init__(
        self,
        *,
        path: str | None = None,
        test_path: str | None = None,
        benchmark: BenchmarkNode = DIGITS,
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
        known = [run for run in range(count) if run != judge_run] if runs is None else runs
        self.known = self.table.runs(known)
        self.last = None if judge_run is None else self.table.runs([judge_run])
        if test_path:
            other = curve_tensor(open_curves(test_path), metrics, epochs=self.table.epochs)
            judged = JudgedPart("test", other, other, leaked_from(self.known, other))
            self.training, self.judged = self.known, [judged]
        else:
            self.training, self.judged = Division(self.known, self.last, train, split, beside, seed).parts()

    def facts(self) -> CurveFacts:
        """Return the training part, and whether a run is reserved for judging."""
        return CurveFacts(self.training, separate_run=self.last is not None)

    def transfer_batch_to_device(self, batch: B, device: torch.device, dataloader_idx: int) -> B:
        """Leave everything where it is."""
        return batch

    def train_dataloader(self) -> EpochLoader:
        """Load numbers of training rows in an order that depends on seed and epoch alone."""
        rows = WithoutEpoch(RowNumbers(len(self.training.archs)))
        sampler = EpochSampler(rows, seed=self.seed)
        whole = len(rows) > self.batch_size  # a last batch of one row would have no variance
        return EpochLoader(rows, batch_size=self.batch_size, sampler=sampler, drop_last=whole)

    def test_dataloader(self) -> DataLoader:
        """Hand on every test part, whole."""
        return DataLoader(self.judged, batch_size=None)  # type: ignore[arg-type]
