"""A flow estimator as a tensor program of a fixed number of steps, to be exported."""

import torch
from torch import Tensor, nn

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.flow.network import FlowNetwork
from sevenfold.flow.padding import pad, unpad


class FlowProgram(nn.Module):
    """Images (B, 3, H, W) in [0, 1], of any size, to flow (B, 2, H, W) in px, by ``iterations`` steps of f.

    An equilibrium network is solved as :mod:`sevenfold.deq.static` says.
    """

    def __init__(self, network: FlowNetwork, iterations: int) -> None:
        super().__init__()
        try:
            network.check_iterations(iterations)
        except ConfigError:
            pass  # of the correction, which concerns training
        except ValueError as error:
            raise InputError(f"iterations: {error}") from None
        self.network, self.iterations = network, iterations

    def forward(self, image1: Tensor, image2: Tensor) -> Tensor:
        """Return the flow from ``image1`` to ``image2``."""
        first, added = pad(image1, self.network.stride)
        second, _ = pad(image2, self.network.stride)
        return unpad(self.network(first, second, iterations=self.iterations).flows[-1], added)

    def examples(self, batch: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return a pair of pictures of a size, for tracing."""
        stream = torch.Generator().manual_seed(0)
        first, second = torch.rand(2, batch, 3, *size, generator=stream)
        return first, second
