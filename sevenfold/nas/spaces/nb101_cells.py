"""All 423,624 different cells of NAS-Bench-101, and the cell that stands for each set of paths."""

import itertools
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import Ints
from sevenfold.nas.spaces.nb101_graph import MAX_EDGES, PATH_LENGTHS, in_chunks, keys, mix, paths, prune

PATH_WORDS = mix(np.arange(len(PATH_LENGTHS), dtype=np.uint64))
"""A 64-bit word for each path; a set of paths is named by the sum of its words."""


class Table(NamedTuple):
    """Lookup of numbers by a 64-bit name: ``names`` ascending, ``numbers`` in the same order."""

    names: NDArray
    numbers: NDArray[np.int64]

    def find(self, names: NDArray) -> NDArray[np.int64]:
        """Return the number of each name, -1 where it is unknown."""
        place = np.minimum(np.searchsorted(self.names, names), len(self.names) - 1)
        return np.where(self.names[place] == names, self.numbers[place], -1)


class Cells(NamedTuple):
    """Every cell once: ``archs`` (m, 26), ``by_key`` its number by key, ``by_paths`` by set of paths.

    Cells come in order of vertices; unused vertices are the last inner ones. Of the cells that have a set of
    paths in common the lowest number stands for the set.
    """

    archs: Ints
    by_key: Table
    by_paths: Table


@cache
def all_cells() -> Cells:
    """Enumerate the space; takes some seconds and is done once a process."""
    shapes = _shapes()
    archs = np.concatenate([_with_operations(shapes, inner) for inner in range(6)])
    names = keys(archs)
    _, first = np.unique(names, return_index=True)
    first.sort()  # keep the order of vertices
    archs, names = archs[first], names[first]
    archs.flags.writeable = False
    return Cells(archs, _table(names), _table(in_chunks(path_sets, archs)))


def _table(names: NDArray) -> Table:
    return Table(*np.unique(names, return_index=True))


def _shapes() -> Ints:
    """Return one row per graph without operations: all vertices in use stand first, and no edge is idle."""
    # Every graph is one of 2^21 upper triangles of 7 vertices; hashes without labels merge isomorphic ones,
    # and operations are added to what is left.
    codes = np.arange(1 << 21)
    edges = np.zeros(len(codes), np.int8)
    for edge in range(21):
        edges += (codes >> edge & 1).astype(np.int8)
    codes = codes[edges <= MAX_EDGES]
    rows = np.zeros((len(codes), 26), np.int8)
    rows[:, :21] = codes[:, None] >> np.arange(21) & 1
    rows = rows[in_chunks(_is_tight, rows)]
    _, first = np.unique(keys(rows, labeled=False), return_index=True)
    return rows[first]


def _is_tight(rows: Ints) -> NDArray[np.bool_]:
    pruned = prune(rows)
    whole = pruned.matrix.sum((1, 2)) == rows[:, :21].sum(1)
    leading = (pruned.alive[:, 1:5] >= pruned.alive[:, 2:6]).all(1)
    return whole & leading & pruned.valid


def _with_operations(shapes: Ints, inner: int) -> Ints:
    """Give every shape with this many inner vertices all operations, (shapes * 3^inner, 26)."""
    chosen = shapes[prune(shapes).alive[:, 1:6].sum(1) == inner]
    operations = np.array(list(itertools.product(range(3), repeat=inner)), np.int8).reshape(3**inner, inner)
    rows = np.repeat(chosen, len(operations), 0)
    rows[:, 21 : 21 + inner] = np.tile(operations, (len(chosen), 1))
    return rows


def path_sets(archs: Ints) -> NDArray[np.uint64]:
    """Name the set of paths of each cell, (n,); how often a path occurs does not matter."""
    names = np.sort(paths(archs), axis=1)
    new = (names >= 0) & (np.diff(names, axis=1, prepend=-1) != 0)
    # A sum of random words names a set whatever its order (Zobrist 1970).
    return np.where(new, PATH_WORDS[names], 0).sum(1, dtype=np.uint64)


def numbers(archs: Ints) -> NDArray[np.int64]:
    """Return the number of each cell, (n,); ``InputError`` for cells that are not in the space."""
    places = all_cells().by_key.find(keys(archs))
    if (places < 0).any():
        raise InputError(f"row {int(np.argmax(places < 0))} is no valid NB101 cell")
    return places
