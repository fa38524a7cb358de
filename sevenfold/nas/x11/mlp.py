"""A perceptron from encodings to coefficients."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from sevenfold.nas.x11.base import (
    Floats,
    Regressor,
    State,
    float_tensor,
    initialized,
    load_network,
    network_state,
    train,
)
from sevenfold.ranges import Count, Depth, LearningRate, ShareBelowOne, Size


class Perceptron(Regressor):
    """A perceptron that predicts all coefficients at once, trained on squared error with Adam.

    The authors' network has one layer of 64 units whose weights are never trained; this one learns, and needs
    more of both.

    Args:
        width: units in each hidden layer.
        layers: hidden layers.
        dropout: share of units dropped after each hidden layer while training.
        epochs: passes over the training data; a Lightning trainer decides instead.
        batch_size: architectures in a batch.
        lr: learning rate of Adam.
    """

    def __init__(
        self,
        *,
        width: Size = 128,
        layers: Depth = 2,
        dropout: ShareBelowOne = 0.0,
        epochs: Count = 60,
        batch_size: Count = 64,
        lr: LearningRate = 2e-3,
    ) -> None:
        self.width, self.layers, self.dropout = width, layers, dropout
        self.epochs, self.batch_size, self.lr = epochs, batch_size, lr
        self.network: nn.Module | None = None
        self.mean = self.scale = np.zeros(0)
        self.outputs = 0

    def begin(self, *data: Floats, stream: Generator) -> None:
        """Standardize the encoding; build the network."""
        x, targets = data
        # Inputs in units of their deviation: one-hot codes of rare operations count as much as common ones.
        self.mean, self.scale = x.mean(axis=0), np.where(x.std(axis=0) > 1e-9, x.std(axis=0), 1.0)
        self.outputs = targets.shape[1]
        if self.network is None:
            self.network = initialized(stream, lambda: self._made(x.shape[1]))

    def _made(self, features: int) -> nn.Module:
        sizes, layers = [features, *[self.width] * self.layers], list[nn.Module]()
        for ins, outs in zip(sizes[:-1], sizes[1:], strict=True):
            layers += [nn.Linear(ins, outs), nn.ReLU(), nn.Dropout(self.dropout)]
        return nn.Sequential(*layers, nn.Linear(self.width, self.outputs))

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the mean squared error."""
        assert self.network is not None
        x, targets = batch
        return nn.functional.mse_loss(self.network(self._units(x)), targets)

    def _units(self, x: Tensor) -> Tensor:
        return (x - float_tensor(self.mean)) / float_tensor(self.scale)

    def fit(self, x: Floats, targets: Floats, stream: Generator) -> None:
        """Train by the plain loop."""
        train(self, x, targets, stream=stream)

    @torch.no_grad()
    def predict(self, x: Floats) -> Floats:
        """Return predictions, (n, k)."""
        assert self.network is not None
        return self.network(self._units(float_tensor(x))).double().numpy()

    def state(self) -> State:
        """Return units and weights."""
        sizes = np.array([self.width, self.layers, self.outputs])
        return {"sizes": sizes, "mean": self.mean, "scale": self.scale, **network_state(self.network)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.width, self.layers, self.outputs = (int(size) for size in state["sizes"])
        self.mean, self.scale = state["mean"], state["scale"]
        self.network = self._made(len(self.mean))
        load_network(self.network, state)
