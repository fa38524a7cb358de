"""The contract of a noise model, and the deviations of real trainings."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from sevenfold.nas.x11.base import Floats, State
from sevenfold.nas.x11.noise.draws import Draws, streamed
from sevenfold.ranges import Checked


class Deviations(NamedTuple):
    """Trainings to learn noise from: encodings (n, d), predicted curves and deviations from them (n, E)."""

    x: Floats
    predicted: Floats
    values: Floats


class Noise(Checked, ABC):
    """Distribution of the deviation of one training from the denoised curve, for one metric.

    Deviations have mean zero at every epoch: a surrogate's curve stays the mean of its draws.
    """

    def fit(self, given: Deviations, stream: Generator) -> None:
        """Learn; the mean deviation of each epoch is left out."""
        centered = given.values - given.values.mean(axis=0)
        self.learn(given._replace(values=centered), stream)

    @abstractmethod
    def learn(self, given: Deviations, stream: Generator) -> None:
        """Learn from deviations of mean zero."""

    @abstractmethod
    def deviate(self, x: Floats, predicted: Floats, draws: Draws) -> Floats:
        """Return one deviation for each row, (n, E), a function of the given random numbers."""

    def sample(self, x: Floats, predicted: Floats, n: int, generator: Generator) -> Floats:
        """Return ``n`` independent deviations of each row, (rows, n, E)."""
        draws = streamed(n * len(x), predicted.shape[1], generator)
        deviations = self.deviate(np.repeat(x, n, axis=0), np.repeat(predicted, n, axis=0), draws)
        return deviations.reshape(len(x), n, -1)

    def log_prob(self, x: Floats, predicted: Floats, values: Floats) -> Floats | None:
        """Return log densities of deviations, (n,); None where a model has none."""
        return None

    @abstractmethod
    def state(self) -> State:
        """Return everything as arrays and texts."""

    @abstractmethod
    def load(self, state: Mapping[str, Any]) -> None:
        """Restore ``state``."""


class NeuralNoise(Noise):
    """Noise with a network that gradients train (:class:`sevenfold.nas.x11.base.Neural`)."""

    network: nn.Module | None
    epochs: int
    batch_size: int
    lr: float

    @abstractmethod
    def begin(self, *data: Floats, stream: Generator) -> None:
        """Build the network for such data."""

    @abstractmethod
    def loss(self, *batch: Tensor) -> Tensor:
        """Return the loss of some rows of the data."""

    @abstractmethod
    def data(self, given: Deviations) -> tuple[Floats, ...]:
        """Return what the network is trained on."""

    @abstractmethod
    def calibrate(self, given: Deviations, stream: Generator) -> None:
        """Bring mean and spread of draws to those of known deviations, once the network is trained."""


class NoNoise(Noise):
    """No noise, so that draws are the denoised curve."""

    def __init__(self) -> None:
        """There is nothing to choose."""

    def learn(self, given: Deviations, stream: Generator) -> None:
        """Learn nothing."""

    def deviate(self, x: Floats, predicted: Floats, draws: Draws) -> Floats:
        """Return zeros."""
        return np.zeros_like(predicted)

    def state(self) -> State:
        """Return nothing."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take nothing back."""


def deviations(curves: Floats, predicted: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return deviations (m, E) of single trainings (n, R, E), and the row of each.

    With several runs they are differences from the runs' mean, widened by sqrt(R / (R - 1)): noise of
    training alone. Of an architecture with one run it is the distance to ``predicted``, (n, E), which must
    come from a model that has not seen it; the model's own error is in it then.
    """
    known: NDArray[np.bool_] = np.asarray(~np.isnan(curves).any(axis=2))
    count = known.sum(axis=1)
    filled = np.where(known[:, :, None], curves, 0.0)
    mean = filled.sum(axis=1) / np.maximum(count, 1)[:, None]
    center = np.where((count > 1)[:, None], mean, predicted)
    # Var(x_r - mean of R runs) = sigma^2 (R - 1) / R.
    widen = np.sqrt(np.where(count > 1, count / np.maximum(count - 1, 1), 1.0))
    rows, runs = np.nonzero(known)
    return (curves[rows, runs] - center[rows]) * widen[rows, None], rows
