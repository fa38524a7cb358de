"""Adjacency encodings: edges and operations as they stand in the space's ``parts``, and back."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import Ints, Part, Space, flat, one_hot
from sevenfold.ranges import Count

Floats = NDArray[np.floating]

HATS = 5
"""Hat functions that stand for a number of a typed space, where it has as many values."""


def adj(space: Space, archs: Ints) -> NDArray[np.float32]:
    """Return edge bits and one number per operation, (n, d).

    d is 26 on NB101 (1x1 0, 3x3 0.5, pooling 1), 6 on NB201, 114 on DARTS, 185 on NLP with 12 vertices.
    """
    # Edge bits in row-major order and operations: the adjacency encoding (White et al. 2020).
    return _join([_numbers(part) for part in space.parts(archs)])


def adj_onehot(space: Space, archs: Ints) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Return edge bits and one-hot operations, (n, d); numbers of a typed space as hat functions.

    d is 36 on NB101, 30 on NB201, 210 on DARTS, 286 on NLP with 12 vertices.
    """
    return adj_onehot_parts(space.parts(archs))


def adj_onehot_parts(parts: Sequence[Part]) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Return the one-hot forms of parts side by side, (n, d)."""
    return np.concatenate([_expand(part) for part in parts], axis=1)


def adj_cat(space: Space, archs: Ints) -> NDArray[np.float32]:
    """Return the positions of the edges in ascending order, padded with 0, then operations as in ``adj``."""
    parts = _with_edges(space, archs)
    return _join([_numbers(part) if part.levels else positions(part.values, 0) for part in parts])


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


def trunc_adj_onehot(space: Space, archs: Ints, *, cutoff: Count) -> NDArray[np.uint8] | NDArray[np.float32]:
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
        return _codes(block, part) if part.levels else block > 0.5

    return _decode(space, rows, read, lambda part: part.values.shape[1])


def from_adj_onehot(space: Space, rows: Floats) -> Ints:
    """Return the architectures with these ``adj_onehot`` rows; of each operation the largest entry counts."""

    def read(block: Floats, part: Part) -> NDArray:
        if part.members:
            return positions(block > 0.5, 0)[:, : part.values.shape[1]]
        if part.places is not None:
            return _codes(block @ np.linspace(0, 1, block.shape[1])[:, None], part)
        if part.levels and part.active is not None and not part.bare:
            return block[:, : part.levels].argmax(1)[:, None]
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
            return _codes(block, part)
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
            return _codes(block, part)
        return (-block).argsort(1, kind="stable").argsort(1) < counts.pop(0)[:, None]

    return _decode(space, np.asarray(rows)[:, : -sum(edges)], read, lambda part: part.values.shape[1])


def positions(bits: NDArray[np.bool_] | Ints, padding: int) -> NDArray[np.int64]:
    """List the positions of ones in each row in ascending order, padded to the row's length, (n, d)."""
    row, column = np.nonzero(bits)
    listed = np.full(bits.shape, padding, np.int64)
    first = np.searchsorted(row, np.arange(len(bits)))
    listed[row, np.arange(len(row)) - first[row]] = column
    return listed


def hats(places: NDArray[np.floating], count: int) -> NDArray[np.float32]:
    """Return ``count`` hat functions of places in [0, 1], (n, count): linear interpolation between knots."""
    # h_j(u) = max(0, 1 - |u (k - 1) - j|), j = 0..k-1: the basis of piecewise linear functions.
    knots = np.arange(count)
    return np.maximum(0, 1 - np.abs(places * (count - 1) - knots)).astype(np.float32)


def _numbers(part: Part) -> NDArray:
    """Return the compact form of a part."""
    numbers = part.values * np.float32(part.unit) if part.places is None else part.places[part.values]
    return numbers if part.active is None else numbers * part.active[:, None]


def _codes(block: Floats, part: Part) -> NDArray:
    """Return the codes of a compact form."""
    if part.places is None:
        return np.rint(block / part.unit)
    return np.abs(block - part.places).argmin(axis=1)[:, None]


def _join(blocks: list[Floats | Ints]) -> NDArray[np.float32]:
    return np.concatenate([block.astype(np.float32) for block in blocks], axis=1)


def _expand(part: Part) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Return the one-hot form of a part."""
    if part.places is not None:
        slopes = hats(part.places[part.values], min(HATS, part.levels))
        return slopes if part.active is None else slopes * part.active[:, None]
    if not part.levels:
        return part.values.astype(np.uint8)
    if part.active is not None and not part.bare:
        return flat(one_hot(np.where(part.active[:, None], part.values, part.levels), part.levels + 1))
    vectors = one_hot(part.values, part.levels)
    if part.active is not None:
        vectors *= part.active[:, None, None]
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
    whole = np.int8 if max(part.levels for part in parts) <= 128 else np.int32
    values: list[Ints] = [
        np.asarray(read(block, part), whole) for block, part in zip(blocks, parts, strict=True)
    ]
    return space.from_parts(values)
