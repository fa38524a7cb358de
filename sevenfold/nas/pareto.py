"""Several losses at once: fronts, ranks, hypervolumes and what a candidate would add to one.

Rows are points (n, m) of m losses, all of which are to be minimized. A point dominates another if it is
nowhere greater and somewhere less.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sevenfold.errors import InputError

Floats = NDArray[np.float64]
BLOCK = 4_000_000  # numbers in one block of comparisons


def front(points: ArrayLike) -> NDArray[np.bool_]:
    """Return which points no other dominates, (n,); equal points stand together, points with NaN never.

    >>> front([[1, 4], [2, 2], [4, 1], [3, 3], [2, 2]]).tolist()
    [True, True, True, False, True]
    """
    losses = _points(points)
    known = np.flatnonzero(~np.isnan(losses).any(1))
    mask = np.zeros(len(losses), bool)
    if losses.shape[1] == 2 and len(known):
        x, y = losses[known].T
        order = np.lexsort((y, x))
        # By x, then y: a point is on the front if y falls below all before, or equals the one that did.
        least = np.minimum.accumulate(y[order])
        first = np.r_[True, least[1:] < least[:-1]]
        leader = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
        mask[known[order]] = (x[order] == x[order][leader]) & (y[order] == y[order][leader])
        return mask
    for rows in np.array_split(known, max(1, math.ceil(len(known) ** 2 * losses.shape[1] / BLOCK))):
        those, these = losses[known][:, None], losses[rows]
        mask[rows] = ~((those <= these).all(2) & (those < these).any(2)).any(0)
    return mask


def ranks(points: ArrayLike) -> NDArray[np.int64]:
    """Return the rank of each point (n,): 0 on the front, 1 on the front of the rest, and so on.

    Points with NaN come last (Deb, Pratap, Agarwal and Meyarivan 2002, section III-A).

    >>> ranks([[1, 1], [2, 2], [1, 3], [float("nan"), 0]]).tolist()
    [0, 1, 1, 2]
    """
    losses = _points(points)
    result = np.full(len(losses), -1)
    rank = 0
    while (rest := np.flatnonzero(result < 0)).size:
        best = front(losses[rest])
        result[rest[best] if best.any() else rest] = rank
        rank += 1
    return result


def crowding(points: ArrayLike) -> Floats:
    """Return how far the neighbors of each point of one front are apart, (n,); infinite at its ends.

    Deb et al. 2002, section III-B: the sum over losses of (next - previous) / (greatest - least).

    >>> crowding([[0, 4], [1, 2], [2, 1], [4, 0]]).tolist()
    [inf, 1.25, 1.25, inf]
    """
    losses = _points(points)
    if np.isnan(losses).any():
        raise InputError("crowding: a point has NaN; take the points of a front")
    result = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        result[order[[0, -1]]] = math.inf
        if (width := column[order[-1]] - column[order[0]]) > 0:
            result[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / width
    return result


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """Return the exact volume that points dominate below a reference, for two or three losses.

    Points with NaN and what lies beyond the reference count nothing.

    Args:
        points: losses (n, m).
        reference: losses (m,) of the corner, worse than those of interest.

    >>> hypervolume([[1, 3], [2, 2], [3, 1]], [4, 4])
    6.0
    """
    corner = _corner(points, reference)
    columns = np.minimum(np.ascontiguousarray(_points(points).T), corner[:, None])
    total: Floats = columns.sum(0)  # NaN where a loss is
    known = np.flatnonzero(~np.isnan(total))
    if not len(known):
        return 0.0
    # Most points are dominated by the one nearest to the origin, and need not be sorted.
    nearest = columns[:, known[total[known].argmin()], None]
    free = (columns < nearest).any(0) | (columns == nearest).all(0)
    losses = columns[:, free & ~np.isnan(total)].T
    if len(corner) == 2:
        return float(_areas(losses, np.ones((1, len(losses)), bool), corner)[0])
    # Between two neighboring values of the third loss the cut is the area of all points below.
    losses = losses[front(losses)]
    losses = losses[np.argsort(losses[:, 2], kind="stable")]
    below = np.tri(len(losses), dtype=bool)
    blocks = np.array_split(below, max(1, math.ceil(below.size / BLOCK)))
    areas = np.concatenate([_areas(losses[:, :2], block, corner[:2]) for block in blocks])
    return float(areas @ np.diff(losses[:, 2], append=corner[2]))


def improvement(points: ArrayLike, candidates: ArrayLike, reference: ArrayLike) -> Floats:
    """Return by how much each candidate alone would raise the hypervolume of points of two losses, (k,).

    A candidate with NaN raises it by 0.

    Args:
        points: losses (n, 2) that there are.
        candidates: losses (k, 2), judged one by one.
        reference: losses (2,) of the corner.

    >>> improvement([[1, 3], [3, 1]], [[2, 2], [3, 3], [0, 0]], [4, 4]).tolist()
    [1.0, 0.0, 11.0]
    """
    losses, corner = _points(points), _corner(points, reference)
    if losses.shape[1] != 2:
        raise InputError(f"improvement: {losses.shape[1]} losses; it is exact for two")
    losses = losses[(losses < corner).all(1)]
    x, y = np.unique(losses[front(losses)], axis=0).T
    # Strips [x_j, x_{j+1}) whose ceiling is y_j: gain(a, b) = sum_j (x_{j+1} - max(x_j, a))+ (y_j - b)+ .
    begin, end, ceiling = np.r_[-np.inf, x], np.r_[x, corner[0]], np.r_[corner[1], y]
    a, b = _points(candidates).T[:, :, None]
    wide = np.maximum(0.0, end - np.maximum(begin, a))
    return np.nan_to_num((wide * np.maximum(0.0, ceiling - b)).sum(1), nan=0.0, posinf=np.inf)


def attainment(fronts: Sequence[ArrayLike], level: float) -> Floats:
    """Return the corners (k, 2) of the staircase beyond which a share of searches has come, of two losses.

    Everything on or above it is dominated or equalled by a point of at least that share of the searches:
    0.5 gives the typical front, 0.25 and 0.75 the spread about it.

    Args:
        fronts: the points (n, 2) of each search.
        level: the share of searches, above 0, at most 1.

    >>> attainment([[[1, 3], [3, 1]], [[2, 2]]], 0.5).tolist()
    [[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]
    >>> attainment([[[1, 3], [3, 1]], [[2, 2]]], 1.0).tolist()
    [[2.0, 3.0], [3.0, 2.0]]
    """
    if not fronts or not 0 < level <= 1:
        raise InputError(
            f"attainment: expected searches and a level in (0, 1], got {len(fronts)} and {level}"
        )
    tables = [_points(points) for points in fronts]
    if wrong := [table.shape[1] for table in tables if table.shape[1] != 2]:
        raise InputError(f"attainment: {wrong[0]} losses; it is drawn for two")
    tables = [table[~np.isnan(table).any(1)] for table in tables]
    x = np.unique(np.concatenate([table[:, 0] for table in tables]))
    # Grunert da Fonseca, Fonseca and Hall 2001: at each x the k-th lowest y that searches have at or below x.
    lowest = np.full((len(tables), len(x)), math.inf)
    for row, table in zip(lowest, tables, strict=True):
        np.minimum.at(row, np.searchsorted(x, table[:, 0]), table[:, 1])
    heights = np.sort(np.minimum.accumulate(lowest, axis=1), axis=0)[math.ceil(level * len(tables)) - 1]
    corners = np.isfinite(heights) & (heights < np.r_[math.inf, heights[:-1]])
    return np.stack([x[corners], heights[corners]], 1)


def _areas(losses: Floats, chosen: NDArray[np.bool_], corner: Floats) -> Floats:
    """Return the area that each choice (k, n) of points dominates; points lie within the corner."""
    order = np.argsort(losses[:, 0])
    x, y = losses[order].T
    # From one x to the next the height is that of the lowest y so far.
    lowest = np.minimum.accumulate(np.where(chosen[:, order], y, corner[1]), axis=1)
    heights: Floats = corner[1] - lowest
    return heights @ np.diff(x, append=corner[0])


def _points(points: ArrayLike) -> Floats:
    losses = np.asarray(points, float)
    if losses.ndim != 2 or losses.shape[1] < 2:
        raise InputError(f"points: expected (n, m) of two losses or more, got shape {losses.shape}")
    return losses


def _corner(points: ArrayLike, reference: ArrayLike) -> Floats:
    corner, m = np.asarray(reference, float), _points(points).shape[1]
    if m > 3:
        raise InputError(f"hypervolume: {m} losses; it is computed for two or three")
    if corner.shape != (m,) or not np.isfinite(corner).all():
        raise InputError(f"reference: expected {m} finite numbers, one a loss, got {corner.tolist()}")
    return corner
