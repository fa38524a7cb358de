"""Draw again until what was drawn is valid, for whole populations."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sevenfold.nas.spaces.base import Ints

PATIENCE = 200
"""How often a change that gives no valid architecture is drawn again before the parent itself is returned."""


def until_valid(n: int, draw: Callable[[int], Ints]) -> Ints:
    """Return ``n`` rows; ``draw(m)`` returns the valid ones, perhaps none, of m rows."""
    # Twice what is asked for, so that a few calls are enough where a third is valid.
    batches = [draw(2 * n + 8)]
    while (have := sum(map(len, batches))) < n:
        batches.append(draw(2 * (n - have) + 8))
    return np.concatenate(batches)[:n]


def change(parents: Ints, propose: Callable[[Ints], tuple[Ints, NDArray[np.bool_]]]) -> Ints:
    """Return one valid child per row; ``propose`` gives children and which of them are valid.

    Only the rows without a valid child are proposed again; after ``PATIENCE`` times the parent stays.
    """
    children, waiting = parents.copy(), np.arange(len(parents))
    for _ in range(PATIENCE):
        proposed, valid = propose(parents[waiting])
        children[waiting[valid]] = proposed[valid]
        waiting = waiting[~valid]
        if not len(waiting):
            break
    return children
