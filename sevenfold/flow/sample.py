"""A training pair as tensors, and plain random draws from a generator."""

from typing import NamedTuple

import torch
from torch import Tensor


class Sample(NamedTuple):
    """Frames float32 RGB (3, H, W) in [0, 1], flow (2, H, W) in px, validity bool (H, W)."""

    image1: Tensor
    image2: Tensor
    flow: Tensor
    valid: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in px."""
        return self.flow.shape[-2], self.flow.shape[-1]


class Draw:
    """Numbers drawn one after the other from a ``torch.Generator``."""

    def __init__(self, stream: torch.Generator):
        self.stream = stream

    def uniform(self, low: float, high: float) -> float:
        """Draw evenly from [low, high)."""
        return low + (high - low) * float(torch.rand((), generator=self.stream, dtype=torch.float64))

    def chance(self, probability: float) -> bool:
        """Draw whether something happens."""
        return self.uniform(0, 1) < probability

    def integer(self, low: int, high: int) -> int:
        """Draw evenly from low, ..., high."""
        return int(torch.randint(low, high + 1, (), generator=self.stream))

    def order(self, count: int) -> list[int]:
        """Draw a permutation of 0, ..., count - 1."""
        return torch.randperm(count, generator=self.stream).tolist()

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal float32 numbers."""
        return torch.randn(shape, generator=self.stream)
