"""Densities of the ends of trainings: Student's t around predictions, and mixtures of two."""

from typing import Protocol

import numpy as np

from sevenfold.nas.lce.base import Floats

DEGREES = 3.0


class Density(Protocol):
    """One density of the value at the end for each of n trainings."""

    def log(self, y: Floats) -> Floats:
        """Return ln of the densities at y (n,), nats in the unit of y."""

    def quantile(self, p: float) -> Floats:
        """Return the value below which the share ``p`` lies, (n,)."""

    def above(self, y: Floats | float) -> Floats:
        """Return the probability of more than ``y``, one value or one a training, (n,)."""


class StudentT:
    """Student's t with three degrees of freedom, one scale for all trainings.

    Args:
        center: predictions (n,), in the unit of y.
        scale: in the unit of y.

    >>> density = StudentT(np.array([70.0, 80.0]), 2.0)
    >>> density.quantile(0.5).tolist(), density.above(70.0).round(3).tolist()
    ([70.0, 80.0], [0.5, 0.992])
    """

    def __init__(self, center: Floats, scale: float) -> None:
        self.center, self.scale = center, scale

    def log(self, y: Floats) -> Floats:
        """Return ln of the densities at y (n,), nats in the unit of y."""
        from scipy.stats import t

        return np.asarray(t.logpdf(y, DEGREES, self.center, self.scale))

    def quantile(self, p: float) -> Floats:
        """Return the value below which the share ``p`` lies, (n,)."""
        from scipy.stats import t

        return np.asarray(t.ppf(p, DEGREES, self.center, self.scale))

    def above(self, y: Floats | float) -> Floats:
        """Return the probability of more than ``y``, one value or one a training, (n,)."""
        from scipy.stats import t

        return np.asarray(t.sf(y, DEGREES, self.center, self.scale))


def student_scale(residuals: Floats) -> float:
    """Return the scale of Student's t with three degrees of freedom around 0 that makes residuals likeliest.

    Equal residuals of 0 have a scale of 1e-6.

    >>> round(student_scale(np.array([-1.0, 1.0])), 3)
    1.0
    """
    squares = residuals**2
    scale = max(float(np.sqrt(squares.mean())), 1e-6)
    # s^2 <- mean of 4 r^2 / (3 + r^2 / s^2): expectation maximization (Lange, Little & Taylor 1989).
    for _ in range(200):
        weights = (DEGREES + 1) / (DEGREES + squares / scale**2)
        scale = max(float(np.sqrt((weights * squares).mean())), 1e-6)
    return scale


class Pooled:
    """A mixture of two densities of the same trainings: the first with the share ``weight``.

    >>> low, high = StudentT(np.array([0.0]), 1.0), StudentT(np.array([10.0]), 1.0)
    >>> Pooled(low, high, 0.5).quantile(0.5).round(6).tolist()
    [5.0]
    """

    def __init__(self, first: Density, second: Density, weight: float) -> None:
        self.first, self.second, self.weight = first, second, weight

    def log(self, y: Floats) -> Floats:
        """Return ln of the densities at y (n,), nats in the unit of y."""
        # p(y) = w p_1(y) + (1 - w) p_2(y), a linear pool (Stone 1961).
        one, two = self.first.log(y) + np.log(self.weight), self.second.log(y) + np.log1p(-self.weight)
        return np.asarray(np.logaddexp(one, two))

    def quantile(self, p: float) -> Floats:
        """Return the value below which the share ``p`` lies, (n,), by bisection between the parts' values."""
        ends = np.stack([self.first.quantile(p), self.second.quantile(p)])
        low, high = ends.min(0), ends.max(0)
        for _ in range(60):
            middle = (low + high) / 2
            more = 1 - self.above(middle) < p
            low, high = np.where(more, middle, low), np.where(more, high, middle)
        return np.asarray((low + high) / 2)

    def above(self, y: Floats | float) -> Floats:
        """Return the probability of more than ``y``, one value or one a training, (n,)."""
        return self.weight * self.first.above(y) + (1 - self.weight) * self.second.above(y)
