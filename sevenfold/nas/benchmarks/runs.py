"""Put measurements of one architecture, however it was written down, side by side as its runs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Runs:
    """Where each of N measurements belongs: ``cell`` (N,) and ``run`` (N,), from 0 in order of appearance.

    ``first`` (n,) is the first measurement of each architecture. Measurements with equal ``keys`` are runs of
    one architecture.
    """

    def __init__(self, keys: NDArray[np.int64]) -> None:
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        # np.unique numbers by key; these ranks number by first appearance, the order of the file.
        rank = np.argsort(np.argsort(first))
        self.first, self.cell = np.sort(first), rank[inverse]
        order = np.argsort(self.cell, kind="stable")
        # In the order of cells, a run's number is its distance from the cell's first measurement.
        begins = np.searchsorted(self.cell[order], np.arange(len(first)))
        self.run = np.empty(len(keys), np.int64)
        self.run[order] = np.arange(len(keys)) - begins[self.cell[order]]
        self.seeds = list(range(int(self.run.max(initial=0)) + 1))

    def table(self, values: ArrayLike) -> NDArray[np.floating]:
        """Lay measurements (N, ...) out as (n, runs, ...), NaN where an architecture has fewer runs."""
        given = np.asarray(values)
        kind = given.dtype if given.dtype.kind == "f" else np.float64
        laid = np.full((len(self.first), len(self.seeds), *given.shape[1:]), np.nan, kind)
        laid[self.cell, self.run] = given
        return laid


def ragged(curves: Sequence[Sequence[float]], epochs: int) -> NDArray[np.float32]:
    """Return curves of different lengths as one array (N, epochs), NaN behind their ends."""
    values = np.full((len(curves), epochs), np.nan, np.float32)
    for row, curve in zip(values, curves, strict=True):
        row[: len(curve)] = curve
    return values
