"""A power law with a prior learned from finished trainings, in closed form."""

from typing import Self

import numpy as np
from numpy.random import Generator

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.nas.lce.base import Extrapolator, Floats, Seen
from sevenfold.nas.lce.learned import above_chance
from sevenfold.ranges import AtLeastTwo, Percent, Scale


class Pow3(Extrapolator):
    """Power law y(t) = c - a t^-alpha plus noise, with (c, a) normal given alpha and alpha on a grid.

    ``fit`` takes mean and covariance of (c, a) and the noise from least-squares fits of whole curves, for
    each alpha. ``predict`` is the posterior mean at the end, every alpha weighted by its marginal likelihood:
    a ridge regression whose penalty the finished trainings choose.

    Args:
        alphas: lowest and highest exponent of the grid.
        points: exponents on the grid, spaced evenly in their logarithm.
        chance: accuracy of guessing, percent; trainings last observed at most 2 points above
            it are left out of the prior and predicted to stay there; null: no such gate.
    """

    fewest = 4

    def __init__(
        self,
        *,
        alphas: tuple[Scale, Scale] = (0.05, 3.0),
        points: AtLeastTwo = 25,
        chance: Percent | None = 10.0,
    ) -> None:
        if alphas[0] >= alphas[1]:
            raise ConfigError("alphas", f"must be (low, high), got {list(alphas)}")
        self.alphas, self.chance = np.geomspace(*alphas, points), chance

    def fit(self, curves: Floats, losses: Floats | None, *, seen: int, end: int, stream: Generator) -> Self:
        """Learn the prior."""
        curves = curves[above_chance(Seen(curves[:, :seen]), self.chance)]
        if len(curves) < self.fewest:
            least = f"at least {self.fewest} trainings above chance"
            raise InputError(f"a prior of curves needs {least}, got {len(curves)}")
        y, whole = curves[:, :end], self._design(np.arange(1, end + 1))  # (n, E), (A, E, 2)
        fitted = np.einsum("ake,ne->ank", np.linalg.pinv(whole), y)  # (A, n, 2)
        rest = y - np.einsum("aek,ank->ane", whole, fitted)
        self.noise = np.maximum((rest**2).mean(axis=(1, 2)), 1e-6)  # (A,)
        self.mean = fitted.mean(axis=1)
        centered = fitted - self.mean[:, None]
        self.covariance = centered.transpose(0, 2, 1) @ centered / (len(y) - 1) + 1e-6 * np.eye(2)
        self.end = end
        return self

    def predict(self, seen: Seen) -> Floats:
        """Return posterior means, within [0, 100]."""
        t = seen.values.shape[1]
        design, last = self._design(np.arange(1, t + 1)), self._design(np.array([self.end]))
        # y ~ N(X m, X S X^T + s^2 I) for every alpha; m and S of finished trainings: Bayesian linear
        # regression (Rasmussen and Williams 2006, section 2.7) on pow3 of Domhan et al. 2015.
        total = design @ self.covariance @ design.transpose(0, 2, 1) + self.noise[:, None, None] * np.eye(t)
        gap = seen.values[None] - (design @ self.mean[:, :, None])[:, :, 0][:, None]  # (A, n, T)
        solved = np.linalg.solve(total, gap.transpose(0, 2, 1))  # (A, T, n)
        evidence = -0.5 * ((gap.transpose(0, 2, 1) * solved).sum(1) + np.linalg.slogdet(total)[1][:, None])
        weights = np.exp(evidence - evidence.max(axis=0))
        update = self.covariance @ design.transpose(0, 2, 1) @ solved  # (A, 2, n)
        at_end = (last @ (self.mean[:, :, None] + update))[:, 0]  # (A, n)
        means = np.clip((weights * at_end).sum(0) / weights.sum(0), 0, 100)
        return np.where(above_chance(seen, self.chance), means, self.chance or 0.0)

    def _design(self, t: np.ndarray) -> Floats:
        """Return rows (1, -t^-alpha) for each alpha, (A, T, 2)."""
        power = -(t[None].astype(float) ** -self.alphas[:, None])
        return np.stack([np.ones_like(power), power], axis=2)
