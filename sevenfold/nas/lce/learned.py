"""Learned extrapolators: a regression on features, and a gate for trainings at chance level."""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.lce.base import Extrapolator, Floats, Seen
from sevenfold.nas.lce.features import smooth_features
from sevenfold.ranges import Percent


def above_chance(seen: Seen, chance: float | None) -> NDArray[np.bool_]:
    """Return which trainings were last seen more than 2 points above chance; all, where it is None."""
    if chance is None:
        return np.ones(len(seen.values), bool)
    return np.asarray(seen.values[:, -1] > chance + 2)


class Learned(Extrapolator):
    """A regression from features of the first epochs.

    Args:
        chance: accuracy of guessing, percent; trainings last observed at most 2 points above
            it are predicted to stay there and are left out of the regression; null: no such gate.
        losses: use features of the training loss too.
    """

    fewest = 5

    def __init__(self, *, chance: Percent | None = 10.0, losses: bool = False) -> None:
        self.chance, self.losses = chance, losses
        self.model: Any = None

    features = staticmethod(smooth_features)
    """What the regression sees."""

    @abstractmethod
    def regression(self, features: Floats, targets: Floats, stream: Generator) -> Any:
        """Return a fitted scikit-learn regression."""

    def fit(self, curves: Floats, losses: Floats | None, *, seen: int, end: int, stream: Generator) -> Self:
        """Fit the regression to the trainings above chance."""
        start = self._checked(Seen(curves[:, :seen], None if losses is None else losses[:, :seen]))
        alive = above_chance(start, self.chance)
        if alive.sum() < self.fewest:
            raise InputError(
                f"{alive.sum()} of {len(alive)} trainings are above chance after {seen} epochs; an "
                f"extrapolator needs at least {self.fewest}: train more, see more, or set chance: null"
            )
        self.model = self.regression(self.features(start.part(alive)), curves[alive, end - 1], stream)
        return self

    def predict(self, seen: Seen) -> Floats:
        """Return predictions in percent, within [0, 100]."""
        seen = self._checked(seen)
        # y_T = g(features of y_1..y_t), a regression over finished trainings (Baker et al. 2018).
        alive, predicted = above_chance(seen, self.chance), np.full(len(seen.values), self.chance or 0.0)
        if alive.any():
            predicted[alive] = np.clip(self.model.predict(self.features(seen.part(alive))), 0, 100)
        return predicted

    def _checked(self, seen: Seen) -> Seen:
        if not self.losses:
            return Seen(seen.values)
        if seen.losses is None:
            raise InputError("losses: true needs training losses; this table has no train/loss")
        return seen
