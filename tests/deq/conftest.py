"""Contractions with known properties, shared by the tests of this folder."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

torch.set_num_threads(1)


def symmetric(radius: float, size: int, generator: torch.Generator) -> Tensor:
    weight = torch.randn(size, size, generator=generator, dtype=torch.float64)
    weight = weight + weight.T
    return weight / torch.linalg.eigvalsh(weight).abs().max() * radius


@pytest.fixture
def contraction() -> Callable[..., tuple[Callable, tuple[Tensor, ...]]]:
    """Return a maker of (f, z0): z -> Wz + b or tanh(Wz + b), W symmetric of a given spectral radius."""

    def make(
        kind: str = "tanh",
        radius: float = 0.9,
        size: int = 256,
        batch: int = 4,
        dtype: torch.dtype = torch.float64,
    ) -> tuple[Callable, tuple[Tensor, ...]]:
        generator = torch.Generator().manual_seed(0)
        weight = symmetric(radius, size, generator).to(dtype)
        bias = (0.1 * torch.randn(batch, size, generator=generator, dtype=torch.float64)).to(dtype)
        squash = torch.tanh if kind == "tanh" else torch.nn.Identity()

        def f(z: tuple[Tensor, ...], index: Tensor | None = None) -> tuple[Tensor, ...]:
            return (squash(z[0] @ weight.T + (bias if index is None else bias[index])),)

        return f, (torch.zeros(batch, size, dtype=dtype),)

    return make
