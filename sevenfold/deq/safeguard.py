"""When extrapolation makes matters worse: start again from the best state."""

import math

import torch
from torch import Tensor


class Safeguard:
    """Tell which samples must restart, from their deciding residuals.

    A sample restarts when its residual exceeds ``growth`` times the lowest since its last restart. It goes
    back to its best state, unless it already restarted from that very state (the same steps would follow,
    forever); then it forgets its past and goes on with a plain step.
    """

    def __init__(self, batch: int, growth: float, device: torch.device) -> None:
        self.growth = growth
        self.lowest = torch.full((batch,), math.inf, dtype=torch.float64, device=device)
        self.origin = torch.zeros(
            batch, dtype=torch.long, device=device
        )  # step of the best state last restarted from

    def judge(self, score: Tensor, live: Tensor, step_of_best: Tensor) -> tuple[Tensor, Tensor]:
        """Return which samples restart, and which of these go back to their best state; both (B,) masks."""
        restart = live & (score > self.growth * self.lowest)
        rewind = restart & (step_of_best != self.origin)
        self.lowest = torch.where(restart, math.inf, torch.minimum(self.lowest, score))
        self.origin = torch.where(restart, step_of_best, self.origin)
        return restart, rewind

    def keep(self, index: Tensor) -> None:
        """Keep only the samples at the positions ``index``."""
        self.lowest, self.origin = self.lowest[index], self.origin[index]
