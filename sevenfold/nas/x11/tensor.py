"""Curves of many trainings as one array, and their division into training and test architectures."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.benchmarks.listed import Listed
from sevenfold.nas.benchmarks.networks import network_keys
from sevenfold.nas.spaces.base import Ints, Space
from sevenfold.nas.spaces.nb201 import NB201

logger = logging.getLogger(__name__)

Rows = NDArray[np.intp]
By = Literal["class", "string"]


@dataclass(frozen=True)
class CurveTensor:
    """Architectures (N, width) of a space with curves (N, R, E, M): runs, epochs 1..E, metrics.

    Runs that were not made, or broke off, are NaN as a whole; every architecture has one run at least.
    """

    space: Space
    archs: Ints
    values: NDArray[np.float64]
    metrics: tuple[str, ...]

    @property
    def epochs(self) -> int:
        """Return E."""
        return self.values.shape[2]

    def part(self, rows: Rows) -> "CurveTensor":
        """Return some of the architectures."""
        return replace(self, archs=self.archs[rows], values=self.values[rows])

    def runs(self, which: Sequence[int]) -> "CurveTensor":
        """Return some of the runs, of the architectures that have one of them."""
        part = replace(self, values=self.values[:, list(which)])
        return part.part(np.flatnonzero(~np.isnan(part.values).all(axis=(1, 2, 3))))

    def means(self) -> NDArray[np.float64]:
        """Return the mean curve over runs, (N, E, M)."""
        return np.asarray(np.nanmean(self.values, axis=1))


def curve_tensor(
    benchmark: Benchmark, metrics: Sequence[str] = ("val/acc",), *, epochs: int | None = None
) -> CurveTensor:
    """Read all runs of every architecture, the curves until ``epochs`` (default: the commonest length).

    Architectures without a complete run are left out and counted in the log. Two with equal codes (a table
    may list a string twice) stay two rows.
    """
    known = benchmark.epochs
    if len(known) < 3 or benchmark.separate_runs or known != tuple(range(1, len(known) + 1)):
        raise InputError(f"{benchmark.dataset} has no learning curves (epochs: {list(known)[:5]})")
    archs, lengths = benchmark.archs, benchmark.lengths(benchmark.archs)
    if epochs is None:
        epochs = len(known) if lengths is None else int(np.bincount(lengths[:, 0]).argmax())
    if not 3 <= epochs <= len(known):
        raise InputError(f"epochs is {epochs}; {benchmark.dataset} has 3 to {len(known)}")
    if lengths is not None:
        archs = archs[lengths[:, 0] == epochs]  # another length is another schedule
    parts = []
    for metric in metrics:
        split, _, name = metric.partition("/")
        curves = benchmark.curves(archs, split=split, metric=name, seed="all")
        if curves.epochs != known:
            raise InputError(f"{benchmark.dataset} knows {metric} at the end only; it has no curve")
        parts.append(curves.values[:, :, :epochs])
    values = np.stack(np.broadcast_arrays(*parts), axis=3)
    values = np.where(np.isfinite(values).all(axis=(2, 3), keepdims=True), values, np.nan)
    rows = np.flatnonzero(~np.isnan(values).all(axis=(1, 2, 3)))
    if len(rows) < 10:
        raise InputError(f"{benchmark.dataset} has {len(rows)} architectures with a complete run of {epochs}")
    if len(rows) < len(archs):
        logger.info("%s: %d architectures without a complete run", benchmark.dataset, len(archs) - len(rows))
    return CurveTensor(benchmark.space, archs[rows], values[rows], tuple(metrics))


def class_keys(space: Space, archs: Ints) -> NDArray[np.int64]:
    """Return a key for each architecture that is equal where the network is, as strictly as can be decided.

    Listed rows of six codes 0..4 are taken for cells of NAS-Bench-201's shape whose codes 0 and 1 are none
    and skip, as in SpikeNAS-Bench: every other code is a separate operation.
    """
    cells = isinstance(space, Listed) and space.width == 6 and int(archs.max(initial=0)) < 5
    return network_keys(NB201() if cells else space, archs)


def split_rows(tensor: CurveTensor, train: float, *, by: By, seed_stream: Generator) -> tuple[Rows, Rows]:
    """Divide the rows at random: a share ``train`` below 1, or a number of rows, and the rest.

    ``class`` keeps architectures that are one network together, so that the training part can come out a few
    rows larger; ``string`` divides rows as they are written, as the authors did.
    """
    n = len(tensor.archs)
    want = round(train * n) if train < 1 else round(train)
    if not 5 <= want <= n - 5:
        raise InputError(f"train is {train}: {want} of {n} architectures; expected 5 to {n - 5}")
    if by == "string":
        order = seed_stream.permutation(n)
        return np.sort(order[:want]), np.sort(order[want:])
    # One network has up to hundreds of strings: a division by strings would test on trained ones.
    group = np.unique(class_keys(tensor.space, tensor.archs), return_inverse=True)[1]
    rank = seed_stream.permutation(group.max() + 1)[group]
    sizes = np.bincount(rank).cumsum()
    last = int(np.searchsorted(sizes, want))
    return np.flatnonzero(rank <= last), np.flatnonzero(rank > last)


def leaked(tensor: CurveTensor, train: Rows, test: Rows) -> float:
    """Return the share of test rows whose network is in the training part under another string."""
    keys = class_keys(tensor.space, tensor.archs)
    return float(np.isin(keys[test], keys[train]).mean())
