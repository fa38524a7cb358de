"""A flow estimator as a tensor program of a fixed number of steps, to be exported."""

import torch
from torch import Tensor, nn

from sevenfold.config import ConfigError
from sevenfold.deq.plain import FixedPoint
from sevenfold.errors import InputError
from sevenfold.flow.deq_flow import DEQFlow
from sevenfold.flow.network import FlowNetwork
from sevenfold.flow.padding import pad, unpad


class FlowProgram(nn.Module):
    """Images (B, 3, H, W) in [0, 1] to flow (B, 2, H, W) in px, by ``iterations`` steps of f.

    An equilibrium network takes them as plain steps, z <- f(z) (Bai et al. 2022, section 3), and answers with
    the last state: what its solver ``fixed_point`` does when it neither stops early nor looks for the best.

    Raises ``InputError`` for a network with another solver.
    """

    def __init__(self, network: FlowNetwork, iterations: int) -> None:
        super().__init__()
        try:
            network.check_iterations(iterations)
        except ConfigError:
            pass  # of the correction, which concerns training
        except ValueError as error:
            raise InputError(f"iterations: {error}") from None
        solver = network.deq.solver if isinstance(network, DEQFlow) else FixedPoint()
        if not isinstance(solver, FixedPoint) or solver.damping != 1:
            raise InputError(
                f"a solve by {type(solver).__name__} cannot be exported: load the module with "
                "network={'solver': {'name': 'fixed_point'}}, and give it enough iterations"
            )
        self.network, self.iterations = network, iterations

    def forward(self, image1: Tensor, image2: Tensor) -> Tensor:
        """Return the flow from ``image1`` to ``image2``."""
        first, added = pad(image1, self.network.stride)
        f = self.network.recurrence(first, pad(image2, self.network.stride)[0])
        state = f.start
        for _ in range(self.iterations):
            state = f(state)
        return unpad(self.network.decode(state), added)

    def examples(self, batch: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return a pair of pictures of a size, for tracing."""
        stream = torch.Generator().manual_seed(0)
        first, second = torch.rand(2, batch, 3, *size, generator=stream)
        return first, second
