"""Adjacency encodings: edges and operations as they stand in the space's ``parts``, and back."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import Ints, Part, Space, flat, one_hot
from sevenfold.ranges import Count

Floats = NDArray[np.floating]


def adj(space: Space, archs: Ints) -> NDArray[np.float32]:
    """Return edge bits and one number per operation, (n, d).

    d is 26 on NB101 (1x1 0, 3x3 0.5, pooling 1), 6 on NB201, 114 on DARTS, 185 on NLP with 12 vertices.
    """
    # Edge bits in row-major order and operations: the adjacency encoding (White et al. 2020).
    return _join([part.values * np.float32(part.unit) for part in space.parts(archs)])


def adj_onehot(space: Space, archs: Ints) -> NDArray[np.uint8]:
    """Return edge bits and one-hot operations, (n, d).

    d is 36 on NB101, 30 on NB201, 210 on DARTS, 286 on NLP with 12 vertices.
    """
    return np.concatenate([_expand(part) for part in space.parts(archs)], axis=1)


def adj_cat(space: Space, archs: Ints) -> NDArray[np.float32]:
    """Return the positions of the edges in ascending order, padded with 0, then operations as in ``adj``."""
    parts = _with_edges(space, archs)
    return _join([part.values * part.unit if part.levels else positions(part.values, 0) for part in parts])


def adj_cont(space: Space, archs: Ints) -> NDArray[np.float32]:
    """Return ``adj`` followed by the number of edges (of every matrix, where there are several).

    As an encoding to search in, the bits are reals in [0, 1] of which the largest are the edges, as many as
    the last number says; see ``from_adj_cont``.
    """
    counts = [part.values.sum(1)[:, None] for part in _with_edges(space, archs) if not part.levels]
    return _join([adj(space, archs), *counts])


def trunc_adj(space: Space, archs: Ints, *, cutoff: Count) -> NDArray[np.float32]:
    """Return the leading coordinates of ``adj``.

    Args:
        space: search space.
        archs: architectures, (n, width).
        cutoff: number of coordinates.
    """
    return adj(space, archs)[:, :cutoff]


def trunc_adj_onehot(space: Space, archs: Ints, *, cutoff: Count) -> NDArray[np.uint8]:
    """Return the leading coordinates of ``adj_onehot``.

    Args:
        space: search space.
        archs: architectures, (n, width).
        cutoff: number of coordinates.
    """
    return adj_onehot(space, archs)[:, :cutoff]


def from_adj(space: Space, rows: Floats) -> Ints:
    """Return the architectures with these ``adj`` rows, (n, width), after rounding to whole codes."""

    def read(block: Floats, part: Part) -> NDArray:
        # Any real row has a nearest architecture: so a search may move in the encoding.
        return np.rint(block / part.unit) if part.levels else block > 0.5

    return _decode(space, rows, read, lambda part: part.values.shape[1])


def from_adj_onehot(space: Space, rows: Floats) -> Ints:
    """Return the architectures with these ``adj_onehot`` rows; of each operation the largest entry counts."""

    def read(block: Floats, part: Part) -> NDArray:
        if part.members:
            return positions(block > 0.5, 0)[:, : part.values.shape[1]]
        return (
            block.reshape(len(block), part.values.shape[1], part.levels).argmax(-1)
            if part.levels
            else block > 0.5
        )

    return _decode(space, rows, read, lambda part: _expand(part).shape[1])


def from_adj_cat(space: Space, rows: Floats) -> Ints:
    """Return the architectures with these ``adj_cat`` rows."""

    def read(block: Floats, part: Part) -> NDArray:
        if part.levels:
            return np.rint(block / part.unit)
        listed = np.rint(block).astype(int)
        # zero is an edge in the first place and padding anywhere else
        listed[:, 1:] = np.where(listed[:, 1:] == 0, listed.max(1, keepdims=True), listed[:, 1:])
        bits = np.zeros(block.shape)
        np.put_along_axis(bits, listed, 1, axis=1)
        return bits

    return _decode(space, rows, read, lambda part: part.values.shape[1])


def from_adj_cont(space: Space, rows: Floats) -> Ints:
    """Return the architectures of ``adj_cont`` rows, whose edges are the largest entries of each matrix."""
    edges = [not part.levels for part in _with_edges(space, _none(space))]
    counts = list(np.rint(np.asarray(rows)[:, len(rows[0]) - sum(edges) :]).T)

    def read(block: Floats, part: Part) -> NDArray:
        if part.levels:
            return np.rint(block / part.unit)
        return (-block).argsort(1, kind="stable").argsort(1) < counts.pop(0)[:, None]

    return _decode(space, np.asarray(rows)[:, : -sum(edges)], read, lambda part: part.values.shape[1])


def positions(bits: NDArray[np.bool_] | Ints, padding: int) -> NDArray[np.int64]:
    """List the positions of ones in each row in ascending order, padded to the row's length, (n, d)."""
    row, column = np.nonzero(bits)
    listed = np.full(bits.shape, padding, np.int64)
    first = np.searchsorted(row, np.arange(len(bits)))
    listed[row, np.arange(len(row)) - first[row]] = column
    return listed


def _join(blocks: list[Floats | Ints]) -> NDArray[np.float32]:
    return np.concatenate([block.astype(np.float32) for block in blocks], axis=1)


def _expand(part: Part) -> NDArray[np.uint8]:
    """Return the one-hot form of a part."""
    if not part.levels:
        return part.values.astype(np.uint8)
    vectors = one_hot(part.values, part.levels)
    if part.members:
        vectors[:, :, 0] = 0
        return vectors.max(axis=1)
    return flat(vectors)


def _with_edges(space: Space, archs: Ints) -> list[Part]:
    parts = space.parts(archs)
    if all(part.levels for part in parts):
        raise InputError(f"{type(space).__name__} has no edges to list or count; use adj or adj_onehot")
    return parts


def _none(space: Space) -> Ints:
    return np.zeros((0, space.width), np.int8)


def _decode(
    space: Space, rows: Floats, read: Callable[[Floats, Part], NDArray], width: Callable[[Part], int]
) -> Ints:
    """Cut rows into the space's parts, read each back to its values and build the architectures."""
    rows, parts = np.asarray(rows), space.parts(_none(space))
    ends = np.cumsum([width(part) for part in parts])
    if rows.ndim != 2 or rows.shape[1] != ends[-1]:
        raise InputError(f"expected rows of {ends[-1]} numbers for {type(space).__name__}, got {rows.shape}")
    blocks = np.split(rows, ends[:-1], axis=1)
    values = [
        np.asarray(read(block, part)).astype(np.int8) for block, part in zip(blocks, parts, strict=True)
    ]
    return space.from_parts(values)
