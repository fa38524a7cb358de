"""Drawing and changing cells of NAS-Bench-101 in every published encoding (White et al. 2020)."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.nas.spaces.base import Ints
from sevenfold.nas.spaces.nb101_cells import PATH_WORDS, all_cells
from sevenfold.nas.spaces.nb101_graph import PATH_LENGTHS, path_bits, prune

PATH_WEIGHTS = np.array([0.2, 0.127, 3.36e-2, 3.92e-3, 1.5e-4, 6.37e-7])[PATH_LENGTHS]
"""Published probability of each path: about how often random adjacency matrices contain one of its length."""

Bits = NDArray[np.bool_]


class PathKind(NamedTuple):
    """A path encoding: the first ``cutoff`` paths, as bits or continuous, by ``PATH_WEIGHTS`` or evenly."""

    continuous: bool
    weighted: bool
    cutoff: int

    @property
    def weights(self) -> NDArray[np.float64]:
        """Return the probability of each path, (cutoff,)."""
        return PATH_WEIGHTS[: self.cutoff] if self.weighted else np.full(self.cutoff, 1 / self.cutoff)


def random_edges(rng: Generator, n: int, continuous: bool) -> Ints:
    """Draw up to ``n`` cells: every edge with probability 1/2, or the 1 to 9 largest of 21 numbers."""
    rows = rng.integers(3, size=(n, 26), dtype=np.int8)
    if continuous:
        rows[:, :21] = _largest(rng.random((n, 21)), rng.integers(1, 10, size=n))
    else:
        rows[:, :21] = rng.integers(2, size=(n, 21))
    return rows[prune(rows).valid]


def random_paths(rng: Generator, n: int, kind: PathKind) -> Ints:
    """Draw up to ``n`` cells by sets of paths, keeping the sets that some cell has.

    Every path comes with its own probability; or, if continuous, the 1 to 6 paths with the largest uniform
    number times that probability.
    """
    values = rng.random((n, kind.cutoff))
    chosen = values < kind.weights
    if kind.continuous:
        chosen = _largest(values * kind.weights, rng.integers(1, 7, size=n))
    number = all_cells().by_paths.find(set_names(chosen))
    return all_cells().archs[number[number >= 0]]


def set_names(bits: Bits) -> NDArray[np.uint64]:
    """Name sets of paths given as bits (n, cutoff), as ``path_sets`` names those of cells."""
    return np.where(bits, PATH_WORDS[: bits.shape[1]], 0).sum(1, dtype=np.uint64)


def _largest(values: NDArray[np.floating], counts: NDArray[np.integer]) -> Bits:
    return (-values).argsort(1).argsort(1) < counts[:, None]


def flip_edges(parents: Ints, rng: Generator, rate: float, cutoff: int) -> tuple[Ints, Bits]:
    """Flip each edge and change each operation among the first ``cutoff`` coordinates.

    On average ``rate`` edges and ``rate`` operations change.
    """
    edges = min(cutoff, 21)
    rows = parents.copy()
    # P(flip) = rate / edges: `rate` edges change on average, as in the released code of BANANAS.
    rows[:, :edges] ^= rng.random((len(rows), edges)) < rate / edges
    rows = _change_operations(rows, rng, rate, cutoff - edges)
    return rows, prune(rows).valid


def move_edge(parents: Ints, rng: Generator, rate: float) -> tuple[Ints, Bits]:
    """Remove an edge, add one, or do both, with equal probability; change operations as ``flip_edges``."""
    rows = parents.copy()
    rows[:, :21] = _exchange(parents[:, :21] > 0, rng)
    rows = _change_operations(rows, rng, rate, 5)
    return rows, prune(rows).valid


def _change_operations(rows: Ints, rng: Generator, rate: float, count: int) -> Ints:
    if count:
        operations = rows[:, 21 : 21 + count]
        chosen = rng.random(operations.shape) < rate / count
        operations[:] = np.where(chosen, (operations + rng.integers(1, 3, operations.shape)) % 3, operations)
    return rows


def _exchange(bits: Bits, rng: Generator) -> Bits:
    """Remove a random one (where there is one), set a random zero, or do both, for every row."""
    action = rng.integers(3, size=len(bits))
    score = rng.random(bits.shape)
    removed = np.where(bits, score, -1).argmax(1)
    added = np.where(bits, -1, score).argmax(1)
    remove = (action != 1) & bits.any(1)
    add = (action != 0) | ~bits.any(1)
    changed, rows = bits.copy(), np.arange(len(bits))
    changed[rows[remove], removed[remove]] = False
    changed[rows[add], added[add]] = True
    return changed


def change_paths(parents: Ints, rng: Generator, rate: float, kind: PathKind) -> tuple[Ints, Bits]:
    """Include or exclude paths among the first ``cutoff``; all others stay.

    Each path changes with ``rate`` times its own probability; or, if continuous, one path goes, comes or is
    exchanged. A row whose set of paths stays as it was is returned unchanged.
    """
    bits = path_bits(parents).astype(bool)
    before = bits.copy()
    prefix = bits[:, : kind.cutoff]
    prefix[:] = (
        _exchange(prefix, rng)
        if kind.continuous
        else prefix ^ (rng.random(prefix.shape) < rate * kind.weights)
    )
    # Most sets of paths belong to no cell; those proposals are drawn again.
    number = all_cells().by_paths.find(set_names(bits))
    same = (bits == before).all(1)
    return np.where(same[:, None], parents, all_cells().archs[number]), same | (number >= 0)


def edge_neighbors(archs: Ints) -> tuple[Ints, Bits]:
    """Return the 31 candidates of each cell, (n, 31, 26), and which are neighbors, (n, 31).

    First the two other operations of every inner vertex, where it is on a path; then every edge flipped,
    where the cell stays valid and the edge was (or then is) on a path.
    """
    n = len(archs)
    rows = np.repeat(archs[:, None], 31, 1)
    vertices = np.repeat(np.arange(5), 2)
    rows[:, np.arange(10), 21 + vertices] = (archs[:, 21 + vertices] + np.tile([1, 2], 5)) % 3
    rows[:, np.arange(10, 31), np.arange(21)] ^= 1
    before, after = prune(archs), prune(rows.reshape(-1, 26))
    upper = np.triu_indices(7, 1)
    used_before = before.matrix[:, *upper]
    used_after = after.matrix.reshape(n, 31, 7, 7)[:, np.arange(10, 31), *upper]
    # An edge off every path changes nothing: flipping it would count the same network twice.
    flips = np.where(archs[:, :21] > 0, used_before, used_after) & after.valid.reshape(n, 31)[:, 10:]
    return rows, np.concatenate([before.alive[:, 1 + vertices], flips], axis=1)


def path_neighbors(arch: Ints, cutoff: int) -> Ints:
    """Return the cells that stand for the sets with one path fewer or more among the first ``cutoff``."""
    bits = path_bits(arch[None])[0, :cutoff].astype(bool)
    name = set_names(path_bits(arch[None]).astype(bool))
    # words are unsigned and wrap around, as sums of them do
    others = np.where(bits, name - PATH_WORDS[:cutoff], name + PATH_WORDS[:cutoff])
    number = all_cells().by_paths.find(others)
    return all_cells().archs[number[number >= 0]]
