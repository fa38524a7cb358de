"""Cells of NAS-Bench-101 as graphs: pruning, isomorphism keys, paths.

A row has 26 codes: the upper triangle of the 7 x 7 adjacency matrix row by row (21 bits), then the operations
of the vertices 1..5 as codes into ``OPS``. Vertex 0 is the input, vertex 6 the output.
"""

import itertools
from collections.abc import Callable
from hashlib import md5
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sevenfold.nas.spaces.base import Ints

OPS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
SOURCES, TARGETS = np.triu_indices(7, 1)
MAX_EDGES = 9
PATH_LENGTHS = np.repeat(np.arange(6), 3 ** np.arange(6))
"""Number of operations of each of the 364 paths."""

Words = NDArray[np.uint64]


class Pruned(NamedTuple):
    """Cells without the vertices that are off every path from input to output.

    ``matrix`` (n, 7, 7) is boolean, dead rows and columns empty; ``alive`` (n, 7) says which vertices remain.
    """

    matrix: NDArray[np.bool_]
    alive: NDArray[np.bool_]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Return which cells connect input and output with at most 9 edges, (n,)."""
        return self.alive[:, 0] & (self.matrix.sum((1, 2)) <= MAX_EDGES)


def prune(archs: Ints) -> Pruned:
    """Remove every vertex that the input does not reach or that does not reach the output."""
    matrix = np.zeros((len(archs), 7, 7), bool)
    matrix[:, SOURCES, TARGETS] = archs[:, :21] > 0
    forward = np.zeros((len(archs), 7), bool)
    backward = forward.copy()
    forward[:, 0] = backward[:, 6] = True
    for vertex in range(1, 7):
        # What no path from input to output uses has no effect: the benchmark prunes it before hashing (Ying
        # et al. 2019, section 2).
        forward[:, vertex] = (matrix[:, :, vertex] & forward).any(1)
        backward[:, 6 - vertex] = (matrix[:, 6 - vertex] & backward).any(1)
    alive = forward & backward
    return Pruned(matrix & alive[:, :, None] & alive[:, None, :], alive)


def in_chunks(function: Callable[[Ints], NDArray], archs: Ints, rows: int = 1 << 15) -> NDArray:
    """Apply a function of populations piece by piece, so that its temporary arrays stay in the cache."""
    pieces = [function(archs[start : start + rows]) for start in range(0, max(1, len(archs)), rows)]
    return np.concatenate(pieces)


def keys(archs: Ints, *, labeled: bool = True) -> NDArray[np.int64]:
    """Return a 64-bit hash of each pruned cell, (n,), equal for isomorphic ones.

    The refinement is that of the benchmark (:func:`module_hashes`) with sums of mixed words in the place of
    sorted digests. Without ``labeled`` operations are ignored.
    """
    return in_chunks(lambda piece: _keys(piece, labeled), archs)


def _keys(archs: Ints, labeled: bool) -> NDArray[np.int64]:
    matrix, alive = prune(archs)
    forward = matrix.astype(np.uint64)
    backward = forward.transpose(0, 2, 1)
    labels = np.zeros((len(archs), 7), np.uint64)
    labels[:, 1:6] = archs[:, 21:] if labeled else 0
    labels[:, 0], labels[:, 6] = 3, 4
    # Iterated hashing of degrees, labels and neighbors (Ying 2019, graph isomorphism hash): seven rounds
    # reach every vertex of a cell from every other.
    word = mix(64 * forward.sum(2) + 8 * backward.sum(2) + labels)
    for _ in range(7):
        mixed = mix(word)[:, :, None]
        word = mix(mix((backward @ mixed)[:, :, 0]) + np.uint64(3) * (forward @ mixed)[:, :, 0] + word)
    return mix(np.where(alive, mix(word), 0).sum(1, dtype=np.uint64)).view(np.int64)


def mix(words: Words) -> Words:
    """Scramble 64-bit words (the finalizer of SplitMix64, Steele et al. 2014)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def module_hashes(archs: Ints) -> list[str]:
    """Return the benchmark's own MD5 name of each cell (its ``module_hash``), computed once per key."""
    _, first, place = np.unique(keys(archs), return_index=True, return_inverse=True)
    matrix, alive = prune(archs[first])
    labels = np.full((len(first), 7), -1)
    labels[:, 1:6], labels[:, 6] = archs[first, 21:], -2
    names = [_md5(m[a][:, a], o[a].tolist()) for m, a, o in zip(matrix, alive, labels, strict=True)]
    return [names[i] for i in place]


def _md5(matrix: NDArray[np.bool_], labels: list[int]) -> str:
    # plain Python integers: NumPy scalars print differently
    degrees = zip(matrix.sum(1).tolist(), matrix.sum(0).tolist(), labels, strict=True)
    names = [_digest(str(vertex)) for vertex in degrees]
    outgoing = [np.flatnonzero(row).tolist() for row in matrix]
    incoming = [np.flatnonzero(column).tolist() for column in matrix.T]
    for _ in names:
        names = [
            _digest(
                "|".join(["".join(sorted(names[u] for u in i)), "".join(sorted(names[u] for u in o)), name])
            )
            for i, o, name in zip(incoming, outgoing, names, strict=True)
        ]
    return _digest(str(sorted(names)))


def _digest(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def paths(archs: Ints) -> NDArray[np.int16]:
    """Return the path of each of the 32 ways through the inner vertices, (n, 32), -1 where there is none.

    A path with the operations o1..oL has the number sum_i 3^(i-1) (o_i + 1), so shorter ones come first and
    the direct edge is 0. The same number may occur several times.
    """
    matrix = np.zeros((len(archs), 7, 7), bool)
    matrix[:, SOURCES, TARGETS] = archs[:, :21] > 0
    ways = [way for length in range(6) for way in itertools.combinations(range(1, 6), length)]
    codes = np.full((len(archs), len(ways)), -1, np.int16)
    for column, way in enumerate(ways):
        steps = itertools.pairwise((0, *way, 6))
        present = np.logical_and.reduce([matrix[:, source, target] for source, target in steps])
        vertices = np.array(way, int) + 20
        # Base 3 with digits 1..3, so that paths of all lengths have different numbers.
        number = (archs[:, vertices].astype(np.int16) + 1) @ 3 ** np.arange(len(way), dtype=np.int16)
        codes[:, column] = np.where(present, number, -1)
    return codes


def path_bits(archs: Ints) -> NDArray[np.uint8]:
    """Return which of the 364 paths are present, (n, 364)."""
    codes = paths(archs)
    row, way = np.nonzero(codes >= 0)
    bits = np.zeros((len(archs), len(PATH_LENGTHS)), np.uint8)
    bits[row, codes[row, way]] = 1
    return bits
