"""Losses under constraints: what violates some comes after everything that violates none."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sevenfold.errors import InputError
from sevenfold.nas.pareto import ranks


def feasible_first(measured: ArrayLike) -> NDArray[np.float64]:
    """Return losses (n, m) in which constraints are part of the order, from losses and violations.

    Evaluations that violate nothing have their own losses. The others follow, in all losses at once: by
    violation, then by their losses (by rank where there are several). Failures stay infinite.

    Args:
        measured: (n, m + 1), the losses and, last, the violation of each evaluation, 0 where there is none.

    >>> feasible_first([[3.0, 0.0], [1.0, 0.5], [2.0, 0.5], [4.0, 0.0], [0.0, 2.0]])[:, 0].round(2).tolist()
    [3.0, 4.33, 4.67, 4.0, 5.0]
    """
    points = np.asarray(measured, float)
    if points.ndim != 2 or points.shape[1] < 2 or (points[:, -1] < 0).any():
        raise InputError(f"expected losses and, last, violations from 0 on (n, m + 1), got {points.shape}")
    losses, violations = points[:, :-1].copy(), points[:, -1]
    failed = ~np.isfinite(points).all(1)
    losses[failed] = np.inf
    beyond = np.flatnonzero((violations > 0) & ~failed)
    if not len(beyond):
        return losses
    free = losses[(violations == 0) & ~failed]
    least, most = (free.min(0), free.max(0)) if len(free) else (np.zeros(losses.shape[1]),) * 2
    wide = np.where(most > least, most - least, 1.0)
    # Constrained domination (Deb et al. 2002, section VI): feasible before infeasible, the lesser violation
    # before the greater; here as losses above all feasible ones, so that every search and model can use them.
    inner = losses[beyond, 0] if losses.shape[1] == 1 else ranks(losses[beyond])
    _, place = np.unique(np.stack([violations[beyond], inner], 1), axis=0, return_inverse=True)
    place = place.reshape(-1)
    losses[beyond] = most + wide * ((place[:, None] + 1) / (place.max() + 1))
    return losses
