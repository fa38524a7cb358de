"""Path encodings: which sequences of operations lead from the input to the output of a cell."""

import numpy as np
from numpy.typing import NDArray

from sevenfold.nas.encodings.adjacency import positions
from sevenfold.nas.spaces.base import Ints, Space
from sevenfold.ranges import Count


def path(space: Space, archs: Ints) -> NDArray[np.uint8]:
    """Return one bit per operation sequence, (n, d).

    d is 364 on NB101, 155 on NB201, 11204 on DARTS.
    """
    # x_i = 1 if path i, a sequence of operations, leads from input to output: the path encoding (White,
    # Neiswanger and Savani 2021).
    return space.path_bits(archs)


def trunc_path(space: Space, archs: Ints, *, cutoff: Count | None = None) -> NDArray[np.uint8]:
    """Return the leading coordinates of every block of ``path``, which are the shortest paths.

    Args:
        space: search space.
        archs: architectures, (n, width).
        cutoff: number of coordinates of every block (DARTS has a block for each cell and input); null: 40
            on NB101 (up to 3 operations), 30 on NB201 (2), 57 on DARTS (2).
    """
    return space.trunc_path_bits(archs, cutoff)


def path_cat(space: Space, archs: Ints) -> NDArray[np.float32]:
    """Return the positions of ones in ``path`` in ascending order, (n, ``space.path_slots``), padded with -1.

    Zero is no padding because it is the number of the path without operations.
    """
    return _listed(space, path(space, archs))


def trunc_path_cat(space: Space, archs: Ints, *, cutoff: Count | None = None) -> NDArray[np.float32]:
    """Return the positions of ones in ``trunc_path`` as ``path_cat`` does.

    Args:
        space: search space.
        archs: architectures, (n, width).
        cutoff: number of coordinates of every block of ``path``; null: the space's ``path_cutoff``.
    """
    return _listed(space, trunc_path(space, archs, cutoff=cutoff))


def path_cont(space: Space, archs: Ints) -> NDArray[np.float32]:
    """Return ``path`` followed by the number of paths, (n, d + 1)."""
    return _counted(path(space, archs))


def trunc_path_cont(space: Space, archs: Ints, *, cutoff: Count | None = None) -> NDArray[np.float32]:
    """Return ``trunc_path`` followed by its number of paths, (n, d + 1).

    Args:
        space: search space.
        archs: architectures, (n, width).
        cutoff: number of coordinates of every block of ``path``; null: the space's ``path_cutoff``.
    """
    return _counted(trunc_path(space, archs, cutoff=cutoff))


def from_path(space: Space, rows: NDArray[np.integer]) -> Ints:
    """Return an architecture with exactly the paths of each row, where the space has a table of them (NB101).

    Different architectures may have the same paths, so this does not always give back what was encoded.
    """
    return space.from_path_bits(rows)


def _listed(space: Space, bits: NDArray[np.uint8]) -> NDArray[np.float32]:
    listed = positions(bits, -1)[:, : space.path_slots]
    return np.pad(listed, ((0, 0), (0, space.path_slots - listed.shape[1])), constant_values=-1).astype(
        np.float32
    )


def _counted(bits: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.concatenate([bits, bits.sum(1, keepdims=True)], axis=1).astype(np.float32)
