"""Theory of hill climbing under random losses (White, Nolen and Savani 2021, section 3).

The graph has n vertices of degree s. Uniform losses are independent on [0, 1]; the sums are the printed ones,
which suppose that climbs from different neighbors do not meet.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid
from scipy.stats import truncnorm

TERMS = 200  # the products fall faster than geometrically


def uniform_minima(n: int, s: int) -> float:
    """Return the expected number of local minima of uniform losses, n / (s + 1)."""
    return n / (s + 1)


def _products(s: int) -> NDArray[np.float64]:
    """Return prod_{j=1}^{i-1} s / (j s + 1) for i = 1, 2, ..., (TERMS,)."""
    return np.cumprod(np.concatenate([[1.0], s / (np.arange(1, TERMS) * s + 1)]))


def uniform_preimage(loss: ArrayLike, s: int) -> NDArray[np.float64]:
    """Return the expected number of climbs through a vertex with this loss, its own included:
    1 + s sum_{i>=1} (1 - loss)^(s i) prod_{j=1}^{i-1} s / (j s + 1).
    """
    above = 1 - np.asarray(loss, np.float64)[..., None]
    return 1 + s * (above ** (s * np.arange(1, TERMS + 1)) * _products(s)).sum(axis=-1)


def uniform_ends(gap: ArrayLike, s: int) -> NDArray[np.float64]:
    """Return the expected share of climbs that end within ``gap`` of loss 0: with q = 1 - gap,
    (1 - q^(s+1)) / (s+1) + s (1 - q^(2s+1)) / (s+1) + (1 - q^s) sum_{i>=3} q^(i s + 1) prod s / (j s + 1).

    The printed sum is a little high at small gaps (simulated for s = 24: .148 at .003, printed .171).
    """
    below = 1 - np.asarray(gap, np.float64)
    powers = below[..., None] ** (s * np.arange(3, TERMS + 1) + 1) * _products(s)[2:]
    first = (1 - below ** (s + 1)) / (s + 1) + s * (1 - below ** (2 * s + 1)) / (s + 1)
    return first + (1 - below**s) * powers.sum(axis=-1)


def normal_minima(n: int, s: int, *, mean: float, spread: float, step: float) -> float:
    """Return the expected number of local minima where losses are Normal(``mean``, ``spread``) and those of
    the neighbors of v Normal(v, ``step``), all truncated to [0, 1]: n E_v[P(u > v | v)^s].
    """
    v = np.linspace(0, 1, 4001)
    density = truncnorm.pdf(v, (0 - mean) / spread, (1 - mean) / spread, mean, spread)
    higher = truncnorm.sf(v, (0 - v) / step, (1 - v) / step, v, step)
    return float(n * trapezoid(density * higher**s, v))
