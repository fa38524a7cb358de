"""Whole curves of a benchmark, as an extrapolation study needs them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.benchmarks.listed import Listed
from sevenfold.nas.benchmarks.networks import distinct
from sevenfold.nas.lce.base import Floats, Seen
from sevenfold.nas.spaces.base import Ints, Space
from sevenfold.nas.spaces.nb201 import NB201


@dataclass(frozen=True)
class CurveTable:
    """One finished training of each network: curves (N, E), more is better, and training losses.

    Curves are accuracies of the validation split in percent, unless another series is named; a series of
    which less is better is negated.
    """

    name: str
    curves: Floats
    losses: Floats | None
    space: Space | None = None
    archs: Ints | None = None
    """The networks, rows of ``space``, whose keys tell networks apart; None where nothing is searched."""
    test: Floats | None = None
    """Test accuracies at the end, (N,)."""

    @property
    def epochs(self) -> int:
        """Return E."""
        return self.curves.shape[1]

    def seen(self, rows: NDArray[np.intp], epochs: int) -> Seen:
        """Return the beginnings of some trainings."""
        losses = None if self.losses is None else self.losses[rows, :epochs]
        return Seen(self.curves[rows, :epochs], losses)

    @cached_property
    def _by_key(self) -> dict[int, int]:
        assert self.space is not None and self.archs is not None
        return {key: row for row, key in enumerate(self.space.keys(self.archs).tolist())}

    def rows(self, archs: Ints) -> list[int | None]:
        """Return where networks stand, None for those that have no whole curve."""
        assert self.space is not None
        return [self._by_key.get(key) for key in self.space.keys(archs).tolist()]


def curve_table(benchmark: Benchmark, *, seed: int | None = None, series: str = "val/acc") -> CurveTable:
    """Read ``series`` of every network once, the run ``seed`` (default: 0), at the most common length.

    Networks with gaps in their curve are left out. A table without curves raises ``InputError``.
    """
    archs = distinct(benchmark.space, benchmark.archs)
    lengths = benchmark.lengths(archs)
    epochs = len(benchmark.epochs)
    if lengths is not None:
        # Schedules of one length only: the curves of NAS-Bench-x11 have one E_max (Yan et al. 2021).
        values, counts = np.unique(lengths[:, 0], return_counts=True)
        epochs = int(values[counts.argmax()])
        archs = archs[lengths[:, 0] == epochs]
    if epochs < 3 or benchmark.separate_runs or series not in benchmark.series:
        raise InputError(
            f"{benchmark.dataset} has no learning curves of {series} (epochs: {list(benchmark.epochs)})"
        )
    run = 0 if seed is None else seed
    split, _, metric = series.partition("/")
    curves = benchmark.curves(archs, split=split, metric=metric, seed=run).values[:, 0, :epochs]
    curves = -curves if metric in benchmark.minimize else curves
    losses = None
    if "train/loss" in benchmark.series:
        losses = benchmark.curves(archs, split="train", metric="loss", seed=run).values[:, 0, :epochs]
    whole = ~np.isnan(curves).any(axis=1)
    whole &= True if losses is None else ~np.isnan(losses).any(axis=1)
    archs, test = archs[whole], None
    if "test/acc" in benchmark.series:
        test = benchmark.query(archs, split="test", metric="acc", epoch="last", seed=run)
    losses = None if losses is None else losses[whole]
    return CurveTable(benchmark.dataset, curves[whole], losses, *_searched(benchmark.space, archs), test)


def _searched(space: Space, archs: Ints) -> tuple[Space, Ints]:
    """Return the space to search: a listed one without rows that have no curve, cells of NAS-Bench-201 with
    one key a network.
    """
    if isinstance(space, Listed):
        return Listed(archs), archs
    return (NB201(canonical="functional") if isinstance(space, NB201) else space), archs
