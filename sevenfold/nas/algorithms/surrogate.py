"""The contract of surrogates, which score candidates, and a random pick as the baseline."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from sevenfold.config import ConfigError
from sevenfold.nas.algorithms.acquisition import Acquisition, Prediction
from sevenfold.nas.algorithms.several import widen
from sevenfold.nas.spaces.base import Ints, Space
from sevenfold.ranges import Checked

Targets = Literal["raw", "standard", "rank", "log"]


@dataclass(frozen=True)
class Round:
    """A trial's data when it chooses: evaluations (n, width) with losses (n,), candidates (m, width), and its
    own stream of random numbers. ``vectors`` (n, losses) where there are several.
    """

    archs: Ints
    losses: NDArray[np.float64]
    candidates: Ints
    rng: Generator
    vectors: NDArray[np.float64] | None = None


class Surrogate(Checked, ABC):
    """Scores candidates of many trials at once, each from its own evaluations and its own stream only."""

    @abstractmethod
    def scores(self, space: Space, rounds: Sequence[Round]) -> list[NDArray[np.floating]]:
        """Return one score for each candidate of each trial, (m,); the lowest are evaluated."""

    def choose(self, space: Space, rounds: Sequence[Round], counts: Sequence[int]) -> list[NDArray[np.int64]]:
        """Return which candidates of each trial to evaluate, by default those with the lowest scores."""
        # Stable: of equal scores the earlier candidate, so that a trial can be repeated.
        scores = self.scores(space, rounds)
        return [np.argsort(row, kind="stable")[:k] for row, k in zip(scores, counts, strict=True)]

    def check(self, space: Space) -> None:  # noqa: B027  (a pick at random suits any space)
        """Raise ``ConfigError`` where the options do not fit a space."""


class RandomPick(Surrogate):
    """A random choice among the candidates, the ablation without a model."""

    def scores(self, space: Space, rounds: Sequence[Round]) -> list[NDArray[np.floating]]:
        """Return uniform random numbers."""
        return [given.rng.random(len(given.candidates)) for given in rounds]


class Model(Surrogate):
    """A model of the loss, fitted anew in every round, with an acquisition function.

    Args:
        targets: what the model is fitted to: ``raw`` losses; ``standard``, losses with mean 0 and standard
            deviation 1; ``rank``, normal scores of their ranks; ``log``, their logarithms.
        acquisition: function that turns predictions into scores.
    """

    with_members = False
    """Whether predictions have members, which some acquisitions need."""

    def __init__(self, *, targets: Targets = "raw", acquisition: Acquisition = Acquisition()) -> None:
        if acquisition.name in ("ts", "percentile") and not self.with_members:
            raise ConfigError("acquisition.name", f"'{acquisition.name}' needs an ensemble of networks")
        self.targets, self.acquisition = targets, acquisition

    @abstractmethod
    def predictions(
        self, space: Space, rounds: Sequence[Round], targets: NDArray[np.float64]
    ) -> list[Prediction]:
        """Predict the candidates of trials with equally many evaluations, given their targets, (T, n)."""

    def scores(self, space: Space, rounds: Sequence[Round]) -> list[NDArray[np.floating]]:
        """Return the acquisition's scores."""
        return [
            self.acquisition.scores(prediction, float(row.min()), given.rng)
            for (prediction, row), given in zip(
                self._predicted(space, rounds, self.targets), rounds, strict=True
            )
        ]

    def choose(self, space: Space, rounds: Sequence[Round], counts: Sequence[int]) -> list[NDArray[np.int64]]:
        """Return the candidates with the lowest scores; of several losses those that widen the front.

        Each of several losses has a separate model, on the normal scores of its ranks.
        """
        if rounds[0].vectors is None:
            return super().choose(space, rounds, counts)
        vectors = [given.vectors for given in rounds if given.vectors is not None]
        models = []
        for loss in range(vectors[0].shape[1]):
            alone = [replace(given, losses=v[:, loss]) for given, v in zip(rounds, vectors, strict=True)]
            models.append(self._predicted(space, alone, "rank"))
        picks = []
        for parts, given, k in zip(zip(*models, strict=True), rounds, counts, strict=True):
            mean, std = (np.stack([getattr(p, name) for p, _ in parts], 1) for name in ("mean", "std"))
            picks.append(widen(np.stack([row for _, row in parts], 1), mean, std, k, given.rng))
        return picks

    def _predicted(
        self, space: Space, rounds: Sequence[Round], targets: Targets
    ) -> list[tuple[Prediction, NDArray[np.float64]]]:
        """Return predictions and targets; trials with equally many evaluations share one fit."""
        results: dict[int, tuple[Prediction, NDArray[np.float64]]] = {}
        sizes = np.array([len(given.losses) for given in rounds])
        for size in np.unique(sizes):
            places = np.flatnonzero(sizes == size).tolist()
            values = np.stack([transform(rounds[p].losses, targets) for p in places])
            predicted = self.predictions(space, [rounds[p] for p in places], values)
            results |= dict(zip(places, zip(predicted, values, strict=True), strict=True))
        return [results[place] for place in range(len(rounds))]


def transform(losses: NDArray[np.float64], targets: Targets) -> NDArray[np.float64]:
    """Return losses as targets, (n,); a failed evaluation (infinite) counts like the worst that did not fail.

    ``rank`` gives normal scores, the inverse normal of (rank + 1/2)/n, equal losses sharing theirs.
    """
    finite = np.isfinite(losses)
    values = np.where(finite, losses, losses[finite].max() if finite.any() else 0.0)
    if targets == "rank":
        # Normal scores Phi^-1((r - 1/2) / n) of ranks r (Hazen 1914): the order, not the values.
        return np.asarray(norm.ppf((rankdata(values) - 0.5) / len(values)))
    if targets == "log":
        return np.log(np.maximum(values, 1e-3))
    if targets == "standard":
        return (values - values.mean()) / max(values.std(), 1e-9)
    return values
