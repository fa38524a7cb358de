"""Whether the people to decide about are like those of the fit: distances of score distributions."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHARES = np.linspace(0, 1, 21)
LEAST = 0.1


class Drift(NamedTuple):
    """The distance of two distributions, its 1 % critical value, and whether both say that they differ."""

    distance: float
    critical: float

    @property
    def warns(self) -> bool:
        """Tell whether the distance is both large and significant."""
        return self.distance > max(LEAST, self.critical)


def quantiles(scores: NDArray[np.float64]) -> list[float]:
    """Return 21 quantiles of scores.

    >>> quantiles(np.arange(101.0))[::10]
    [0.0, 50.0, 100.0]
    """
    return np.quantile(scores, SHARES).tolist()


def drift(stored: Sequence[float], rows: int, scores: NDArray[np.float64]) -> Drift:
    """Return the Kolmogorov-Smirnov distance of scores from stored quantiles of ``rows`` scores.

    >>> drift(quantiles(np.arange(101.0)), 101, np.arange(101.0) + 100).warns
    True
    """
    ordered, edges = np.sort(scores), np.asarray(stored)
    # at the stored quantiles alone: between them the stored distribution is not known
    below, above = (np.searchsorted(ordered, edges, side=s) / len(ordered) for s in ("left", "right"))
    first = SHARES[np.searchsorted(edges, edges, side="left")]
    last = SHARES[np.searchsorted(edges, edges, side="right") - 1]
    # equal scores are a jump: distributions differ where the two jumps do not overlap
    distance = np.maximum(below - last, first - above).clip(min=0).max()
    # D > 1.628 sqrt((n + m) / (n m)) has a probability of 1 %   (Smirnov 1948)
    return Drift(float(distance), 1.628 * math.sqrt((rows + len(scores)) / (rows * len(scores))))
