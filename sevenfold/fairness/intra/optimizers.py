"""Derivative-free minimizers in a box with an ask-and-tell interface: boosted trees, CMA-ES, uniform draws.

``ask(n)`` returns at most n points; ``tell`` takes their values.
"""

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.config import ConfigError
from sevenfold.ranges import AtLeastTwo, Count, NonNegativeInt, Scale

Floats = NDArray[np.float64]


class Uniform:
    """Random search: uniform draws from the box.

    Args:
        batch: points at a time.
    """

    def __init__(self, low: Floats, high: Floats, stream: Generator, *, batch: Count = 32) -> None:
        self.low, self.high, self.stream, self.batch = low, high, stream, batch

    def ask(self, n: int) -> Floats:
        """Draw points, (n, d)."""
        return self.stream.uniform(self.low, self.high, (min(n, self.batch), len(self.low)))

    def tell(self, points: Floats, values: Floats) -> None:
        """Ignore the values."""


class BoostedTrees(Uniform):
    """Search by expected improvement under boosted trees for the 16, 50 and 84 % quantiles.

    Args:
        initial: uniform draws before the first model.
        pool: random points among which the one of the best expected improvement is proposed.
        batch: proposals per model (1: the usual sequential search).
    """

    def __init__(
        self,
        low: Floats,
        high: Floats,
        stream: Generator,
        *,
        initial: AtLeastTwo = 10,
        pool: Count = 1000,
        batch: Count = 1,
    ) -> None:
        super().__init__(low, high, stream, batch=batch)
        if pool < batch:
            raise ConfigError("pool", f"must be at least batch ({batch}), got {pool}")
        self.initial, self.pool = initial, pool
        self.points, self.values = np.empty((0, len(low))), np.empty(0)

    def ask(self, n: int) -> Floats:
        """Propose points of the best expected improvement."""
        if len(self.values) < self.initial:
            count = min(n, self.initial - len(self.values))
            return self.stream.uniform(self.low, self.high, (count, len(self.low)))
        pool = self.stream.uniform(self.low, self.high, (self.pool, len(self.low)))
        # For a normal variable the 84 % and 16 % quantiles are one standard deviation from the median.
        low, middle, high = (self._quantile(q).predict(pool) for q in (0.16, 0.5, 0.84))
        gain = expected_improvement(self.values.min(), middle, np.maximum((high - low) / 2, 1e-9))
        return pool[np.argsort(-gain, kind="stable")[: min(n, self.batch)]]

    def tell(self, points: Floats, values: Floats) -> None:
        """Add points and values to the data of the model."""
        self.points = np.concatenate([self.points, points])
        self.values = np.concatenate([self.values, values])

    def _quantile(self, quantile: float) -> Any:
        from sklearn.ensemble import GradientBoostingRegressor

        seed = int(self.stream.integers(2**31))
        model = GradientBoostingRegressor(
            loss="quantile", alpha=quantile, n_estimators=30, max_features="sqrt", random_state=seed
        )
        return model.fit(self.points, self.values)


def expected_improvement(best: float, mean: Floats, deviation: Floats) -> Floats:
    """Return the expected fall below ``best`` of normal variables."""
    from scipy.stats import norm

    # EI = (f* - m) Phi(z) + s phi(z),  z = (f* - m) / s   (Jones, Schonlau & Welch 1998)
    z = (best - mean) / deviation
    return (best - mean) * norm.cdf(z) + deviation * norm.pdf(z)


class CMAES:
    """Covariance matrix adaptation (Hansen 2016); variables are scaled by the box, points are clipped to it.

    Args:
        sigma: first step, as a share of the box's width.
        full: dimensions above which the covariance is diagonal.
    """

    def __init__(
        self, low: Floats, high: Floats, stream: Generator, *, sigma: Scale = 0.15, full: NonNegativeInt = 100
    ) -> None:
        self.low, self.width, self.stream, self.sigma = low, high - low, stream, sigma
        d = len(low)
        self.mean, self.diagonal = np.full(d, 0.5), d > full
        self.size = 4 + int(3 * np.log(d))
        # Default parameters, in the tutorial's symbols: lambda = 4 + floor(3 ln n), mu = lambda / 2,
        # w_i ~ ln((lambda + 1) / 2) - ln i, mu_eff = 1 / sum w_i^2   (Hansen 2016)
        weights = np.log(self.size / 2 + 0.5) - np.log(np.arange(1, self.size // 2 + 1))
        self.weights = weights / weights.sum()
        self.mu = 1 / (self.weights**2).sum()
        self.c_sigma = (self.mu + 2) / (d + self.mu + 5)
        self.damping = 1 + 2 * max(0.0, np.sqrt((self.mu - 1) / (d + 1)) - 1) + self.c_sigma
        self.c_c = (4 + self.mu / d) / (d + 4 + 2 * self.mu / d)
        # A diagonal covariance has n instead of n^2 / 2 entries and may learn faster   (Ros & Hansen 2008)
        speed = (d + 2) / 3 if self.diagonal else 1.0
        self.c_1 = min(1.0, speed * 2 / ((d + 1.3) ** 2 + self.mu))
        c_mu = speed * 2 * (self.mu - 2 + 1 / self.mu) / ((d + 2) ** 2 + self.mu)
        self.c_mu = min(1 - self.c_1, c_mu)
        self.covariance = np.ones(d) if self.diagonal else np.eye(d)
        self.path_sigma, self.path_c = np.zeros(d), np.zeros(d)
        self.length = np.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d**2))
        self.generation = 0

    def ask(self, n: int) -> Floats:
        """Draw one generation; a short last one, at the end of the budget, does not change the state."""
        z = self.stream.standard_normal((min(n, self.size), len(self.mean)))
        steps = z * np.sqrt(self.covariance) if self.diagonal else z @ self._root()[0].T
        return self.low + self.width * np.clip(self.mean + self.sigma * steps, 0, 1)

    def tell(self, points: Floats, values: Floats) -> None:
        """Adapt mean, step and covariance."""
        if len(values) < self.size:
            return
        self.generation += 1
        # m <- m + sigma sum_i w_i y_i over the best mu points, y_i = (x_i - m) / sigma   (Hansen 2016)
        order = np.argsort(values, kind="stable")[: len(self.weights)]
        steps = ((points[order] - self.low) / self.width - self.mean) / self.sigma
        mean_step = self.weights @ steps
        self.mean = self.mean + self.sigma * mean_step
        # p_sigma <- (1 - c_sigma) p_sigma + sqrt(c_sigma (2 - c_sigma) mu_eff) C^(-1/2) y_w
        whitened = mean_step / np.sqrt(self.covariance) if self.diagonal else self._root()[1] @ mean_step
        c, m = self.c_sigma, self.mu
        self.path_sigma = (1 - c) * self.path_sigma + np.sqrt(c * (2 - c) * m) * whitened
        norm = np.linalg.norm(self.path_sigma) / np.sqrt(1 - (1 - c) ** (2 * self.generation))
        stalled = norm > (1.4 + 2 / (len(self.mean) + 1)) * self.length
        fresh = 0.0 if stalled else np.sqrt(self.c_c * (2 - self.c_c) * m)
        # p_c <- (1 - c_c) p_c + h_sigma sqrt(c_c (2 - c_c) mu_eff) y_w
        # C   <- (1 - c_1 - c_mu) C + c_1 p_c p_c^T + c_mu sum_i w_i y_i y_i^T
        self.path_c = (1 - self.c_c) * self.path_c + fresh * mean_step
        rank_one = self._outer(self.path_c[None], np.ones(1))
        rank_mu = self._outer(steps, self.weights)
        keep = 1 - self.c_1 - self.c_mu
        self.covariance = keep * self.covariance + self.c_1 * rank_one + self.c_mu * rank_mu
        # sigma <- sigma exp((c_sigma / d_sigma) (|p_sigma| / E|N(0, I)| - 1))
        growth = np.linalg.norm(self.path_sigma) / self.length - 1
        self.sigma *= float(np.exp(min(1.0, c / self.damping * growth)))

    def _outer(self, steps: Floats, weights: Floats) -> Floats:
        """Return the weighted sum of outer products, or of squares where the covariance is diagonal."""
        return weights @ steps**2 if self.diagonal else (steps.T * weights) @ steps

    def _root(self) -> tuple[Floats, Floats]:
        """Return the covariance's root and its inverse."""
        values, vectors = np.linalg.eigh((self.covariance + self.covariance.T) / 2)
        root = np.sqrt(np.maximum(values, 1e-14))
        return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
