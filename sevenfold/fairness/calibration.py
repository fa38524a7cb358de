"""Probabilities of edited scores: isotonic regression of labels on scores, and its error."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError

Floats = NDArray[np.float64]


class Isotonic(NamedTuple):
    """A monotone map from scores to probabilities, linear between its steps and constant beyond them."""

    scores: list[float]
    probabilities: list[float]

    @classmethod
    def fit(cls, scores: Floats, y: Floats, weights: Floats | None = None) -> "Isotonic":
        """Return the isotonic regression of labels on scores (pool adjacent violators, Barlow et al. 1972).

        >>> Isotonic.fit(np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 1.0]))(np.array([0.0, 3.0])).tolist()
        [0.5, 1.0]
        """
        from sklearn.isotonic import IsotonicRegression

        if not np.isfinite(scores).all():
            raise InputError(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not finite")
        model = IsotonicRegression(out_of_bounds="clip").fit(scores, y, sample_weight=weights)
        return cls(model.X_thresholds_.tolist(), model.y_thresholds_.tolist())

    def __call__(self, scores: Floats) -> Floats:
        """Return probabilities."""
        return np.interp(scores, self.scores, self.probabilities)


def calibration_error(probabilities: Floats, y: Floats, bins: int = 15) -> float:
    """Return the mean distance of mean probability and share of label 1 over bins of equal size.

    >>> calibration_error(np.full(30, 0.5), np.arange(30) % 2)
    0.0
    """
    order = np.argsort(probabilities, kind="stable")
    parts = np.array_split(order, min(bins, max(1, len(order) // 2)))
    gaps = [abs(probabilities[part].mean() - y[part].mean()) * len(part) for part in parts]
    return float(sum(gaps) / len(order))
