"""A benchmark whose answers stand in a table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.config import build
from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.base import Benchmark, Epoch, average, find, only
from sevenfold.nas.benchmarks.listed import Listed
from sevenfold.nas.benchmarks.table import Column, Table
from sevenfold.nas.spaces import SPACES
from sevenfold.nas.spaces.base import Ints, Space


class TableBenchmark(Benchmark):
    """One data set of a :class:`Table`; architectures are looked up by their key.

    ``dataset`` may be left out where the table has only one.
    """

    def __init__(self, table: Table, *, dataset: str | None = None) -> None:
        given = table.layout
        dataset = only(dataset, list(given.datasets), "data set")
        self.table, self.columns = table, given.datasets[dataset]
        space, self._archs = table_space(table)
        super().__init__(
            space,
            {key: _epochs(c, self.columns.epochs) for key, c in self.columns.series.items()},
            dataset=dataset,
            datasets=list(given.datasets),
            seeds=self.columns.seeds,
            epochs=self.columns.epochs,
            minimize=given.minimize,
            separate_runs=self.columns.separate_runs,
        )
        self.understood: tuple[str, ...] = ()
        """What was decided about a file that does not describe itself, one line a decision."""
        keys = table[given.keys] if given.keys else self.space.keys(self._archs)
        # Stable: of several forms of one architecture the first in the file answers.
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    @property
    def archs(self) -> Ints:
        """Return all architectures of the table, (N, width)."""
        return self._archs

    @property
    def properties(self) -> tuple[str, ...]:
        """Return the names of what is known without training."""
        return tuple(self.columns.properties)

    def property_of(self, archs: Ints, name: str) -> NDArray[np.float64]:
        """Return one of ``properties`` (parameters, operations, scores), (n,), its mean where runs differ."""
        find(name, self.properties, f"property of {self.dataset}")
        values = self._values(self.columns.properties[name], archs, slice(None), slice(None))
        return average(values[:, :, 0], axis=1)

    def positions(self, archs: Ints) -> NDArray[np.integer]:
        """Return where architectures stand in the table, (n,); the first of those with equal keys."""
        keys = self.space.keys(archs)
        # Keys above the largest are clipped to it and then differ from it, so they count as absent.
        places = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        absent = np.flatnonzero(self._keys[places] != keys)
        if len(absent):
            first = self.space.to_strings(archs[absent[:1]])[0]
            raise InputError(
                f"{len(absent)} of {len(keys)} architectures are not among the {len(self._keys)} of "
                f"'{self.table.source}', the first is {first}"
            )
        return self._order[places]

    def _rows(self, archs: Ints) -> NDArray[np.integer]:
        positions, rows = self.positions(archs), self.table.layout.rows
        return self.table[rows][positions] if rows else positions

    def _values(self, column: Column, archs: Ints, seeds: slice, epochs: slice) -> NDArray[np.float64]:
        return self.table.values(column, self._rows(archs), seeds, epochs)

    def read(self, archs: Ints, series: str, seeds: slice, epochs: slice) -> NDArray[np.float64]:
        """Return values of one series, (n, R, E)."""
        values = self._values(self.columns.series[series], archs, seeds, epochs)
        shape = (len(self.seeds[seeds]), len(self.series[series][epochs]))
        return np.broadcast_to(values, (len(values), *shape))

    def lengths(self, archs: Ints) -> NDArray[np.integer] | None:
        """Return the epochs of each run, (n, R or 1), None if all have all."""
        if not self.columns.lengths:
            return None
        lengths = self.table[self.columns.lengths][self._rows(archs)]
        return lengths[:, None] if lengths.ndim == 1 else lengths

    def seconds(self, archs: Ints) -> NDArray[np.float64]:
        """Return cumulative seconds, (n, R or 1, E); NaN where the table has no times."""
        column, epochs = self.columns.seconds, np.array(self.epochs or (1,))
        if column is None:
            return np.full((len(archs), 1, len(epochs)), np.nan)
        seconds = self._values(column, archs, slice(None), slice(None))
        if column.per == "until":
            return seconds
        if column.per == "run":
            lengths = self.lengths(archs)
            # A run's total is spread evenly over the epochs of its own schedule.
            share = epochs / (epochs[-1] if lengths is None else lengths[:, :, None])
            return seconds * np.minimum(share, 1.0)
        if "e" not in column.axes:
            return seconds * epochs
        # One epoch without a time counts as none; a run without any time stays unknown.
        total: NDArray[np.float64] = np.nancumsum(seconds, axis=2)
        return np.where(np.isnan(seconds).all(axis=2, keepdims=True), np.nan, total)


def _epochs(column: Column, epochs: tuple[int, ...]) -> tuple[Epoch, ...]:
    return ("last",) if column.at_end else column.epochs or epochs


def table_space(table: Table) -> tuple[Space, Ints]:
    """Build the space a table names and return it with the table's architectures as rows of it.

    ``listed`` is the space of these architectures and no others.
    """
    given, archs = table.layout, table[table.layout.archs]
    if given.notation == "digits":
        strings = archs.astype(str)
        # Files that store such strings as numbers have lost their leading zeros.
        width = np.strings.str_len(strings).max()
        archs = np.strings.zfill(strings, width).view("<U1").reshape(-1, width).astype(np.int8)
    if given.space.get("name") == "listed":
        return Listed(archs, given.space.get("columns", ())), archs
    space = build_space(given.space)
    if given.notation not in ("", "digits"):
        archs = space.from_strings(archs.tolist(), notation=given.notation)
    return space, archs


def build_space(node: Mapping[str, Any]) -> Space:
    """Build the component of ``SPACES`` that ``node`` names."""
    space: Space = build(SPACES, node, "space")
    return space
