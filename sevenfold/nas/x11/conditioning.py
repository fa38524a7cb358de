"""Correction of a predicted curve by the observed first epochs of a training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sevenfold.errors import InputError
from sevenfold.nas.x11.base import Floats, State

RANK = 25


class Conditioning:
    """The best linear correction of a predicted curve by values that were observed of it.

    ``fit`` takes the covariance of out-of-sample errors of whole curves, in its first ``RANK`` directions
    and a separate variance for every epoch. No query trains anything, and any epochs will do.
    """

    def __init__(self) -> None:
        self.factor, self.rest = np.zeros((0, 0)), np.zeros(0)

    def fit(self, errors: Floats) -> None:
        """Learn from curve - prediction, (n, E)."""
        # Errors of unseen networks ~ N(0, F F^T + diag(rest)): factor analysis by a truncated SVD.
        _, s, v = np.linalg.svd(errors, full_matrices=False)
        rank = min(RANK, len(s))
        self.factor = v[:rank].T * (s[:rank] / np.sqrt(len(errors)))  # (E, rank)
        self.rest = np.maximum((errors**2).mean(axis=0) - (self.factor**2).sum(axis=1), 1e-4)

    def correct(self, predicted: Floats, epochs: Sequence[int], observed: Floats) -> Floats:
        """Return corrected curves (n, E) given values (n, t) observed after ``epochs``, counted from 1."""
        places = np.asarray(epochs, int) - 1
        if observed.shape != (len(predicted), len(places)) or np.isnan(observed).any():
            raise InputError(
                f"observed values have shape {observed.shape}; expected {(len(predicted), len(places))}, no "
                "NaN"
            )
        if len(places) == 0 or places.min() < 0 or places.max() >= len(self.rest):
            raise InputError(f"observed epochs are {list(epochs)}; expected 1..{len(self.rest)}")
        # E[y | y_t] = mean + C_t (C_tt + D_t)^-1 (y_t - mean_t): the conditional Gaussian (Bishop 2006, eq.
        # 2.81).
        covariance = self.factor @ self.factor[places].T  # (E, t)
        within = covariance[places] + np.diag(self.rest[places])
        gain = np.linalg.solve(within, covariance.T).T
        return np.asarray(predicted + (observed - predicted[:, places]) @ gain.T)

    def state(self) -> State:
        """Return the covariance."""
        return {"factor": self.factor, "rest": self.rest}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self.factor, self.rest = state["factor"], state["rest"]
