"""The two kinds of base classifiers, for rows and for images: their networks and their inputs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sevenfold.arrays import images, rows
from sevenfold.fairness.data.images import normalize
from sevenfold.fairness.network import resnet18
from sevenfold.fairness.training import new_network


class Kind(ABC):
    """A kind of network together with the conversion of its inputs."""

    @abstractmethod
    def new(self, example: Tensor) -> nn.Module:
        """Return a network for inputs like ``example``, giving (n,) or (n, 1) logits."""

    @abstractmethod
    def inputs(self, values: Any, example: Tensor | None = None) -> Tensor:
        """Return user data as inputs of the network; ``example`` shows the shape that it expects."""

    @abstractmethod
    def example(self, state: Mapping[str, Tensor]) -> Tensor:
        """Return an example input, its shape read from the network's ``state``."""


class OfRows(Kind):
    """The paper's network for rows of features; its initial weights depend on the seed alone."""

    def __init__(self, *, width: int, depth: int, dropout: float, seed: int) -> None:
        self.width, self.depth, self.dropout, self.seed = width, depth, dropout, seed

    def new(self, example: Tensor) -> nn.Module:
        """Return the network."""
        shape: dict[str, Any] = {"width": self.width, "depth": self.depth, "dropout": self.dropout}
        return new_network(example.shape[-1], self.seed, **shape)

    def inputs(self, values: Any, example: Tensor | None = None) -> Tensor:
        """Return rows as float32 (n, features)."""
        return rows(values, features=None if example is None else example.shape[-1])

    def example(self, state: Mapping[str, Tensor]) -> Tensor:
        """Return a row of zeros with as many features as the first layer has inputs."""
        # Only the width of the input matters; a checkpoint does not contain any rows.
        first = next(value for name, value in state.items() if name.endswith("module.0.weight"))
        return torch.zeros(first.shape[1])


class OfPictures(Kind):
    """torchvision's ResNet-18 with one logit; ``weights`` names a file to start from."""

    def __init__(self, *, weights: str | None, seed: int) -> None:
        self.network = resnet18(seed, weights)

    def new(self, example: Tensor) -> nn.Module:
        """Return the network, which is built once."""
        return self.network

    def inputs(self, values: Any, example: Tensor | None = None) -> Tensor:
        """Return pictures (:func:`sevenfold.arrays.images`), standardized as ImageNet's networks expect."""
        return normalize(images(values))

    def example(self, state: Mapping[str, Tensor]) -> Tensor:
        """Return a picture, of any size."""
        return torch.zeros(3, 1, 1)
