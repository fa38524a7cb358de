"""Compression by a variational autoencoder."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from sevenfold.nas.x11.base import (
    Compression,
    Floats,
    State,
    float_tensor,
    initialized,
    load_network,
    network_state,
    train,
)
from sevenfold.ranges import Count, LearningRate, Size


class CurveVAE(nn.Module):
    """One hidden layer each way; the encoder gives mean and log variance of k latents."""

    def __init__(self, size: int, k: int, width: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(size, width), nn.BatchNorm1d(width), nn.LeakyReLU(0.2), nn.Linear(width, 2 * k)
        )
        self.decoder = nn.Sequential(nn.Linear(k, width), nn.ReLU(), nn.Linear(width, size))

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return reconstruction from a draw of the latents, and their mean and log variance."""
        mean, log_variance = self.encoder(y).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return self.decoder(z), mean, log_variance


class VAE(Compression):
    """Latent means of a VAE on standardized curves, trained on summed squared error + KL divergence.

    The network is that of NAS-Bench-x11, with layers that do learn; its 10 epochs are few.

    Args:
        k: latents, which are the coefficients of a curve.
        width: units of the hidden layers.
        epochs: passes over the training data; a Lightning trainer decides instead.
        batch_size: curves in a batch.
        lr: learning rate of Adam.
    """

    def __init__(
        self,
        *,
        k: Size = 5,
        width: Size = 32,
        epochs: Count = 30,
        batch_size: Count = 64,
        lr: LearningRate = 3e-3,
    ) -> None:
        self.k, self.width, self.epochs, self.batch_size, self.lr = k, width, epochs, batch_size, lr
        self.network: nn.Module | None = None
        self.mean = self.scale = np.zeros(0)

    def begin(self, *data: Floats, stream: Generator) -> None:
        """Standardize each point of the curves; build the network."""
        (curves,) = data
        self.mean, self.scale = curves.mean(axis=0), np.maximum(curves.std(axis=0), 1e-6)
        if self.network is None:
            self.network = initialized(stream, lambda: CurveVAE(curves.shape[1], self.k, self.width))

    def loss(self, *batch: Tensor) -> Tensor:
        """Return squared error + KL per curve, averaged over curves."""
        assert self.network is not None
        y = (batch[0] - float_tensor(self.mean)) / float_tensor(self.scale)
        decoded, mean, log_variance = self.network(y)
        # -ELBO = |y - decode(z)|^2 + KL(N(m, exp v) | N(0, 1)), z = m + exp(v / 2) e (Kingma and Welling
        # 2014, eq. 10).
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
        return (((decoded - y) ** 2).sum(1) + divergence).mean()

    def fit(self, curves: Floats, stream: Generator) -> None:
        """Train by the plain loop."""
        train(self, curves, stream=stream)

    @torch.no_grad()
    def encode(self, curves: Floats) -> Floats:
        """Return latent means, (n, k)."""
        assert isinstance(self.network, CurveVAE)
        y = float_tensor((curves - self.mean) / self.scale)
        return self.network.encoder(y)[:, : self.k].double().numpy()

    @torch.no_grad()
    def decode(self, coefficients: Floats) -> Floats:
        """Return curves, (n, D)."""
        assert isinstance(self.network, CurveVAE)
        decoded = self.network.decoder(float_tensor(coefficients)).double().numpy()
        return self.mean + self.scale * decoded

    def state(self) -> State:
        """Return units and weights."""
        sizes = np.array([self.k, self.width])
        return {"sizes": sizes, "mean": self.mean, "scale": self.scale, **network_state(self.network)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.k, self.width = (int(size) for size in state["sizes"])
        self.mean, self.scale = state["mean"], state["scale"]
        self.network = CurveVAE(len(self.mean), self.k, self.width)
        load_network(self.network, state)
