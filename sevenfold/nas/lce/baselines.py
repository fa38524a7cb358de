"""Baselines that learn nothing, for every report of extrapolators."""

from typing import Self

import numpy as np
from numpy.random import Generator

from sevenfold.errors import InputError
from sevenfold.nas.lce.base import Extrapolator, Floats, Seen
from sevenfold.ranges import Count, PositiveShare


class Baseline(Extrapolator):
    """An extrapolator without anything to learn."""

    def fit(self, curves: Floats, losses: Floats | None, *, seen: int, end: int, stream: Generator) -> Self:
        """Learn nothing."""
        return self


class Last(Baseline):
    """Predict the last observed value."""

    def __init__(self) -> None:
        """There is nothing to choose."""

    def predict(self, seen: Seen) -> Floats:
        """Return the last values."""
        return seen.values[:, -1]


class Best(Baseline):
    """Predict the best observed value."""

    def __init__(self) -> None:
        """There is nothing to choose."""

    def predict(self, seen: Seen) -> Floats:
        """Return the best values."""
        return np.asarray(seen.values.max(axis=1))


class MeanOfLast(Baseline):
    """Predict the mean of the last observed values.

    Args:
        count: number of values in the mean; all of them where fewer were observed.
    """

    def __init__(self, *, count: Count = 5) -> None:
        self.count = count

    def predict(self, seen: Seen) -> Floats:
        """Return the means."""
        return np.asarray(seen.values[:, -self.count :].mean(axis=1))


class TSE(Baseline):
    """Rank by training speed, a low sum of training losses being better.

    After Ru et al. 2021, "Speedy performance estimation for neural architecture search".

    Args:
        decay: factor on the losses of an epoch for each epoch after it (TSE-EMA); 1: the plain sum.
    """

    ranks_only = True

    def __init__(self, *, decay: PositiveShare = 0.9) -> None:
        self.decay = decay

    def predict(self, seen: Seen) -> Floats:
        """Return the negative sum."""
        if seen.losses is None:
            raise InputError("tse needs training losses; this table has no train/loss")
        # TSE-EMA (Ru et al. 2021): the sum over epochs t of decay^(T - t) times the training loss of t.
        weights = self.decay ** np.arange(seen.losses.shape[1])[::-1]
        return np.asarray(-(seen.losses @ weights))
