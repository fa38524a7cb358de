"""Plain (or damped) fixed-point iteration."""

import torch
from torch import Tensor

from sevenfold.deq.base import Solver
from sevenfold.errors import ConfigError
from sevenfold.ranges import PositiveShare


class FixedPoint(Solver):
    """Fixed-point iteration z <- (1 - tau) z + tau f(z), plain or damped.

    Args:
        damping: the step length tau, above 0: 1 is Picard iteration, less helps where f oscillates.

    Example:
        >>> import torch
        >>> from sevenfold.deq import solve
        >>> z0 = (torch.ones(1, 1),)
        >>> solve(lambda z: (-z[0],), z0, FixedPoint(damping=0.5), max_iter=5).value[0].item()
        -0.0
    """

    def __init__(self, *, damping: PositiveShare = 1.0) -> None:
        if not 0 < damping <= 1:
            raise ConfigError("damping", f"is {damping}; expected a step length in (0, 1]")
        self.damping = damping

    def start(self, x: Tensor, max_iter: int) -> list[Tensor]:
        """Return a second place for f(x): the best state then stays in the first, without a copy."""
        return [torch.empty_like(x)]

    def room(self, memory: list[Tensor], y: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two places in turn."""
        place, memory[0] = memory[0], y
        return place, r

    def step(self, memory: list[Tensor], x: Tensor, y: Tensor, r: Tensor) -> None:
        """Overwrite x with x + tau r."""
        # x_{k+1} = (1 - tau) x_k + tau f(x_k): Picard's iteration, damped as by Krasnoselskii (1955).
        if self.damping == 1:
            x.copy_(y)
        else:
            x.add_(r, alpha=self.damping)

    def restart(self, memory: list[Tensor], rows: Tensor) -> None:
        """Do nothing: there is nothing to forget."""

    def keep(self, memory: list[Tensor], index: Tensor) -> None:
        """Drop the other samples."""
        memory[0] = memory[0][index]

    def begin(self, x: Tensor, steps: int) -> tuple[Tensor]:
        """Return the step length, as a tensor that a graph can take."""
        return (x.new_tensor(self.damping),)

    def advance(self, memory: tuple[Tensor], x: Tensor, y: Tensor, r: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """Return x + tau r."""
        return torch.where(memory[0] == 1, y, x + memory[0] * r), memory

    def forget(self, memory: tuple[Tensor], rows: Tensor) -> tuple[Tensor]:
        """Return the same: there is nothing to forget."""
        return memory
