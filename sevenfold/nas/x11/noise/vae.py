"""Noise from a conditional variational autoencoder of deviations."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from sevenfold.config import ConfigError
from sevenfold.nas.x11.base import (
    Floats,
    State,
    float_tensor,
    initialized,
    load_network,
    network_state,
    train,
)
from sevenfold.nas.x11.noise.base import Deviations, NeuralNoise
from sevenfold.nas.x11.noise.draws import EXTRA, Draws
from sevenfold.ranges import Count, LearningRate, Size

KNOTS = 8  # points of the predicted curve that the condition holds


class ConditionalVAE(nn.Module):
    """Deviations (n, E) given conditions (n, c): latents, and a Gaussian with a width for every epoch."""

    def __init__(self, epochs: int, condition: int, latents: int, width: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(epochs + condition, width), nn.ReLU(), nn.Linear(width, 2 * latents)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latents + condition, width), nn.ReLU(), nn.Linear(width, epochs)
        )
        self.width_of = nn.Sequential(nn.Linear(condition, width), nn.ReLU(), nn.Linear(width, epochs))

    def decode(self, z: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log standard deviation at every epoch."""
        return self.decoder(torch.cat([z, condition], 1)), self.width_of(condition).clamp(-6, 3)

    def forward(self, values: Tensor, condition: Tensor) -> Tensor:
        """Return the negative evidence bound of each deviation, (n,)."""
        # -ELBO with a Gaussian decoder of variable width, conditioned on encoding and curve (Sohn, Lee and
        # Yan 2015).
        mean, log_variance = self.encoder(torch.cat([values, condition], 1)).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        center, log_sigma = self.decode(z, condition)
        likelihood = (0.5 * ((values - center) / log_sigma.exp()) ** 2 + log_sigma).sum(1)
        return likelihood + 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)


class NoiseVAE(NeuralNoise):
    """Draws of a VAE with a Gaussian decoder, conditioned on encoding and predicted curve.

    A factor for every epoch brings the spread of draws to that of the training deviations.

    Args:
        latents: latents of a deviation, at most 32.
        width: units of the hidden layers.
        epochs: passes over the training data; a Lightning trainer decides instead.
        batch_size: deviations in a batch.
        lr: learning rate of Adam.
    """

    def __init__(
        self,
        *,
        latents: Size = 8,
        width: Size = 64,
        epochs: Count = 30,
        batch_size: Count = 128,
        lr: LearningRate = 2e-3,
    ) -> None:
        if latents > EXTRA:
            raise ConfigError("latents", f"is {latents}; expected at most {EXTRA}")
        self.latents, self.width = latents, width
        self.epochs, self.batch_size, self.lr = epochs, batch_size, lr
        self.network: nn.Module | None = None
        self.unit = self.mean = self.scale = self.factor = self.shift = np.zeros(0)

    def begin(self, *data: Floats, stream: Generator) -> None:
        """Take units of conditions and deviations; build the network."""
        values, condition = data
        self.unit = np.maximum(values.std(axis=0), 1e-3)
        self.mean, self.scale = condition.mean(axis=0), np.maximum(condition.std(axis=0), 1e-3)
        self.factor, self.shift = np.ones(values.shape[1]), np.zeros(values.shape[1])
        if self.network is None:
            sizes = (values.shape[1], condition.shape[1], self.latents, self.width)
            self.network = initialized(stream, lambda: ConditionalVAE(*sizes))

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the mean negative evidence bound."""
        assert self.network is not None
        values, condition = batch
        return self.network(
            values / float_tensor(self.unit), (condition - float_tensor(self.mean)) / float_tensor(self.scale)
        ).mean()

    def data(self, given: Deviations) -> tuple[Floats, Floats]:
        """Return what the network is trained on: deviations and conditions."""
        return given.values, self.condition(given.x, given.predicted)

    def condition(self, x: Floats, predicted: Floats) -> Floats:
        """Return encoding and some points of the predicted curve, (n, c)."""
        places = np.linspace(0, predicted.shape[1] - 1, KNOTS).round().astype(int)
        return np.concatenate([x, predicted[:, places]], axis=1)

    def learn(self, given: Deviations, stream: Generator) -> None:
        """Train by the plain loop."""
        train(self, *self.data(given), stream=stream)
        self.calibrate(given, stream)

    def calibrate(self, given: Deviations, stream: Generator) -> None:
        """Bring mean and spread of draws to those of known deviations, epoch by epoch."""
        drawn = self.sample(given.x, given.predicted, 2, stream).reshape(-1, given.values.shape[1])
        self.shift = drawn.mean(axis=0)
        self.factor = given.values.std(axis=0) / np.maximum(drawn.std(axis=0), 1e-6)

    @torch.no_grad()
    def deviate(self, x: Floats, predicted: Floats, draws: Draws) -> Floats:
        """Decode normals."""
        assert isinstance(self.network, ConditionalVAE)
        epochs = predicted.shape[1]
        condition = float_tensor((self.condition(x, predicted) - self.mean) / self.scale)
        center, log_sigma = self.network.decode(
            float_tensor(draws.normal[:, epochs : epochs + self.latents]), condition
        )
        deviations = center + log_sigma.exp() * float_tensor(draws.normal[:, :epochs])
        return (deviations.double().numpy() * self.unit - self.shift) * self.factor

    def state(self) -> State:
        """Return units and weights."""
        own = {name: getattr(self, name) for name in ("unit", "mean", "scale", "factor", "shift")}
        return {"sizes": np.array([self.latents, self.width]), **own, **network_state(self.network)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.latents, self.width = (int(size) for size in state["sizes"])
        for name in ("unit", "mean", "scale", "factor", "shift"):
            setattr(self, name, state[name])
        self.network = ConditionalVAE(len(self.unit), len(self.mean), self.latents, self.width)
        load_network(self.network, state)
