"""A synthetic benchmark on the space of NAS-Bench-101 that needs no table."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.spaces.base import Ints
from sevenfold.nas.spaces.nb101 import NB101
from sevenfold.nas.spaces.nb101_graph import mix, prune
from sevenfold.ranges import Seed

EPOCHS: tuple[int, ...] = (4, 12, 36, 108)
SEEDS: tuple[int, ...] = (0, 1, 2)
WEIGHTS = np.array([1.2, 0.5, -0.4])
"""Gain in percent for each 3x3 and 1x1 convolution and each pooling of the pruned cell."""


class SyntheticNB101(Benchmark):
    """Synthetic accuracies of any valid cell, from its operations, its depth and a hash of its key.

    With the pruned cell's operation counts c, its depth d (edges of the longest path) and noise drawn from
    ``space.keys``, the accuracy after the longest schedule is 88 + w c + 0.6 d - 0.08 d^2 plus a cell's own
    0.4 points and a run's own 0.2 points (standard deviations); the shorter schedules lose 30, 10 and 3
    points. Isomorphic cells, pruned or not, have one value. Every schedule is a separate run and takes
    4 seconds an epoch and vertex.

    Args:
        stream: number of the random stream that the noise is drawn from.
    """

    def __init__(self, *, stream: Seed = 0) -> None:
        self.stream = stream
        series = {"val/acc": EPOCHS, "test/acc": EPOCHS}
        super().__init__(
            NB101(),
            series,
            dataset="synthetic",
            datasets=["synthetic"],
            seeds=SEEDS,
            epochs=EPOCHS,
            separate_runs=True,
        )

    @property
    def archs(self) -> Ints:
        """Refuse: values are computed at each query."""
        raise InputError("the synthetic NAS-Bench-101 has no list of cells; query those you need")

    def read(self, archs: Ints, series: str, seeds: slice, epochs: slice) -> NDArray[np.float64]:
        """Return accuracies, (n, R, E)."""
        if not (valid := self.space.is_valid(archs)).all():
            raise InputError(f"row {int(np.argmin(valid))} is no valid NB101 cell")
        keys = self.space.keys(archs).astype(np.uint64)
        counts, depth = features(archs)
        own = 0.4 * normal(keys, self.stream)
        final = 88 + counts @ WEIGHTS + 0.6 * depth - 0.08 * depth**2 + own
        # Shorter schedules end lower, by a gap that shrinks as learning curves flatten.
        lost = np.array([30.0, 10.0, 3.0, 0.0])[epochs]
        values = final[:, None, None] - lost + np.zeros((1, len(SEEDS[seeds]), 1))
        test = int(series == "test/acc")
        for place, seed in enumerate(SEEDS[seeds]):
            for column, epoch in enumerate(EPOCHS[epochs]):
                values[:, place, column] += 0.2 * normal(keys, self.stream, test, seed, epoch)
        return values.clip(0, 100)

    def seconds(self, archs: Ints) -> NDArray[np.float64]:
        """Return the seconds of each schedule, (n, 1, E)."""
        vertices = prune(archs).alive.sum(axis=1)
        return 4.0 * vertices[:, None, None] * np.array(EPOCHS)


def features(archs: Ints) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return how often each operation occurs in the pruned cells, (n, 3), and their longest path, (n,)."""
    cells = prune(archs)
    matrix, alive = cells.matrix.astype(int), cells.alive
    # The first 21 numbers of a row are the upper triangle of the adjacency matrix, then come five operations.
    counts = ((archs[:, 21:, None] == np.arange(3)) & alive[:, 1:6, None]).sum(axis=1)
    depth, reached = np.zeros(len(archs), int), np.eye(7, dtype=int)[[0]]
    for length in range(1, 7):
        # Vertices at the end of a walk of this length; in a directed graph without cycles walks are paths.
        reached = (reached[:, None] @ matrix)[:, 0]
        depth = np.where(reached[:, 6] > 0, length, depth)
    return counts, depth


def normal(keys: NDArray[np.uint64], *names: int) -> NDArray[np.float64]:
    """Return standard Normal numbers that depend on the key and the names only, (n,)."""
    words = keys.copy()
    for name in (*names, 0):
        # One more than the name, so that name 0 changes the word too.
        words = mix(words ^ np.uint64(name + 1))
    # The upper 53 bits as a uniform number of the open interval (0, 1), then the Normal quantile.
    return ndtri(((words >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53)
