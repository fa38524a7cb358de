"""How BANANAS chooses among candidates: the contract of ``SURROGATES``, and choosing without a model."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.nas.spaces.base import Ints, Space


@dataclass(frozen=True)
class Round:
    """What one trial knows when it chooses: evaluations (n, width) with losses (n,), candidates (m, width),
    and its own stream of random numbers.
    """

    archs: Ints
    losses: NDArray[np.float64]
    candidates: Ints
    rng: Generator


class Surrogate(ABC):
    """Scores candidates of many trials at once, each from its own evaluations and its own stream only."""

    @abstractmethod
    def scores(self, space: Space, rounds: Sequence[Round]) -> list[NDArray[np.float64]]:
        """Return one score for each candidate of each trial, (m,); the lowest are evaluated."""


class RandomPick(Surrogate):
    """Choose at random: the ablation that leaves the model out."""

    def scores(self, space: Space, rounds: Sequence[Round]) -> list[NDArray[np.float64]]:
        """Return uniform random numbers."""
        return [given.rng.random(len(given.candidates)) for given in rounds]
