"""Independent Gaussian noise at every epoch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.random import Generator

from sevenfold.nas.x11.base import Floats, State
from sevenfold.nas.x11.noise.base import Deviations, Noise
from sevenfold.nas.x11.noise.draws import Draws


class Gauss(Noise):
    """Independent Gaussian noise with one standard deviation for each epoch, whatever the architecture."""

    def __init__(self) -> None:
        self.sigma = np.zeros(0)

    def learn(self, given: Deviations, stream: Generator) -> None:
        """Take the standard deviations."""
        self.sigma = given.values.std(axis=0)

    def deviate(self, x: Floats, predicted: Floats, draws: Draws) -> Floats:
        """Scale the normals."""
        return draws.normal[:, : len(self.sigma)] * self.sigma

    def log_prob(self, x: Floats, predicted: Floats, values: Floats) -> Floats:
        """Return log densities."""
        # log p = -1/2 sum_e ((y_e - mean_e) / sigma_e)^2 + log 2 pi sigma_e^2: independent by epoch, as
        # published (Yan et al. 2021).
        sigma = np.maximum(self.sigma, 1e-3)
        return np.asarray(-0.5 * ((values / sigma) ** 2 + np.log(2 * np.pi * sigma**2)).sum(axis=1))

    def state(self) -> State:
        """Return the standard deviations."""
        return {"sigma": self.sigma}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.sigma = state["sigma"]
