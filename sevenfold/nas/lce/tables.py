"""Whole curves of a benchmark, as an extrapolation study needs them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.benchmarks.networks import distinct
from sevenfold.nas.lce.base import Floats, Seen


@dataclass(frozen=True)
class CurveTable:
    """One finished training of each network: validation accuracies (N, E), percent, and training losses."""

    name: str
    curves: Floats
    losses: Floats | None

    @property
    def epochs(self) -> int:
        """Return E."""
        return self.curves.shape[1]

    def seen(self, rows: NDArray[np.intp], epochs: int) -> Seen:
        """Return the beginnings of some trainings."""
        losses = None if self.losses is None else self.losses[rows, :epochs]
        return Seen(self.curves[rows, :epochs], losses)


def curve_table(benchmark: Benchmark, *, seed: int | None = None) -> CurveTable:
    """Read every network once, the run ``seed`` (default: 0), schedules of the most common length.

    Networks with gaps in their curve are left out. A table without curves raises ``InputError``.
    """
    archs = distinct(benchmark.space, benchmark.archs)
    lengths = benchmark.lengths(archs)
    epochs = len(benchmark.epochs)
    if lengths is not None:
        values, counts = np.unique(lengths[:, 0], return_counts=True)
        epochs = int(values[counts.argmax()])
        archs = archs[lengths[:, 0] == epochs]
    if epochs < 3 or benchmark.separate_runs or "val/acc" not in benchmark.series:
        raise InputError(
            f"{benchmark.dataset} has no learning curves of val/acc (epochs: {list(benchmark.epochs)})"
        )
    run = 0 if seed is None else seed
    curves = benchmark.curves(archs, split="val", metric="acc", seed=run).values[:, 0, :epochs]
    losses = None
    if "train/loss" in benchmark.series:
        losses = benchmark.curves(archs, split="train", metric="loss", seed=run).values[:, 0, :epochs]
    whole = ~np.isnan(curves).any(axis=1)
    whole &= True if losses is None else ~np.isnan(losses).any(axis=1)
    return CurveTable(benchmark.dataset, curves[whole], None if losses is None else losses[whole])
