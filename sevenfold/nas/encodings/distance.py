"""Distances between architectures: how many coordinates of an encoding differ, (n, m) for n against m."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from sevenfold.nas.encodings.adjacency import adj_cont as _adj_cont
from sevenfold.nas.encodings.path import path as _path
from sevenfold.nas.encodings.path import trunc_path as _trunc_path
from sevenfold.nas.spaces.base import Ints, Part, Space, one_hot
from sevenfold.ranges import Count

Matrix = NDArray[np.float64]


def adj(space: Space, first: Ints, second: Ints) -> Matrix:
    """Count the edges and the operations that differ.

    Two numbers of a typed space count as twice the distance of their places in [0, 1], an active parameter
    against an inactive one as 1.
    """
    # d(a, b): edges and operations that differ, the distance of the adjacency encoding (White et al. 2020).
    pairs = list(zip(space.parts(first), space.parts(second), strict=True))
    if any(part.places is not None or part.active is not None for part, _ in pairs):
        return np.sum([_between(*pair) for pair in pairs], axis=0)
    rows = [np.concatenate([part.values for part in side], 1) for side in zip(*pairs, strict=True)]
    return np.rint(cdist(*rows, "hamming") * rows[0].shape[1])


def _between(first: Part, second: Part) -> Matrix:
    """Return the distance in one part."""
    # d = sum of 1[a != b] over codes and of 2 |u - u'| over numbers, after Gower 1971.
    if first.places is None or second.places is None:
        distance = np.rint(cdist(first.values, second.values, "hamming") * first.values.shape[1])
    else:
        distance = 2 * cdist(first.places[first.values], second.places[second.values], "cityblock")
    if first.active is None or second.active is None:
        return distance
    both = first.active[:, None] & second.active
    return np.where(both, distance, (first.active[:, None] ^ second.active).astype(float))


def adj_cont(space: Space, first: Ints, second: Ints) -> Matrix:
    """Count as ``adj`` and add the difference of the numbers of edges."""
    matrices = sum(not part.levels for part in space.parts(first))
    edges = [_adj_cont(space, archs)[:, -matrices:] for archs in (first, second)]
    return adj(space, first, second) + cdist(*edges, "cityblock")


def path(space: Space, first: Ints, second: Ints) -> Matrix:
    """Count the operation sequences that only one of the two has."""
    return cdist(_path(space, first), _path(space, second), "cityblock")


def path_cont(space: Space, first: Ints, second: Ints) -> Matrix:
    """Count as ``path`` and add the difference of the numbers of paths."""
    return _with_counts(_path(space, first), _path(space, second))


def trunc_path(space: Space, first: Ints, second: Ints, *, cutoff: Count | None = None) -> Matrix:
    """Count as ``path`` among the coordinates of the truncated encoding.

    Args:
        space: search space.
        first: architectures, (n, width).
        second: architectures, (m, width).
        cutoff: coordinates of every block of ``path`` that are compared; null: the space's ``path_cutoff``.
    """
    rows = [_trunc_path(space, archs, cutoff=cutoff) for archs in (first, second)]
    return cdist(*rows, "cityblock")


def trunc_path_cont(space: Space, first: Ints, second: Ints, *, cutoff: Count | None = None) -> Matrix:
    """Count as ``path_cont`` among the coordinates of the truncated encoding.

    Args:
        space: search space.
        first: architectures, (n, width).
        second: architectures, (m, width).
        cutoff: coordinates of every block of ``path`` that are compared; null: the space's ``path_cutoff``.
    """
    rows = [_trunc_path(space, archs, cutoff=cutoff) for archs in (first, second)]
    return _with_counts(*rows)


def _with_counts(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Matrix:
    counts = [bits.sum(1, keepdims=True) for bits in (first, second)]
    return cdist(first, second, "cityblock") + cdist(*counts, "cityblock")


def nasbot(space: Space, first: Ints, second: Ints) -> Matrix:
    """Compare as the papers' stand-in for NASBOT's optimal transport does, whatever the vertices are called.

    Sum of the differences of sorted out-degrees, of sorted in-degrees and of the numbers of each operation; a
    space without edge features (NAS-Bench-201) counts operations and adds the Hamming distance.
    """
    rows = [_counts(space, archs) for archs in (first, second)]
    distances = cdist(*rows, "cityblock")
    if all(part.levels for part in space.parts(first)):
        return distances + adj(space, first, second)
    for axis in (1, 2):
        degrees = [
            np.sort(space.graph(archs).adjacency.sum(axis, dtype=float), 1) for archs in (first, second)
        ]
        distances += cdist(*degrees, "cityblock")
    return distances


def _counts(space: Space, archs: Ints) -> Matrix:
    """Return how often each operation occurs, (n, operations)."""
    coded = [part for part in space.parts(archs) if part.levels]
    levels = np.concatenate([one_hot(part.values, part.levels).sum(1) for part in coded], axis=1)
    return levels.astype(float)
