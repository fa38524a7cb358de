"""When extrapolation makes matters worse: start again from the best state."""

import math

import torch
from torch import Tensor


class Safeguard:
    """Tell which samples must restart, from their deciding residuals.

    A sample restarts when its residual exceeds ``growth`` times the lowest since its last restart. It goes
    back to its best state, unless it already restarted from that very state (the same steps would follow,
    forever); then it forgets its past and takes a plain step.
    """

    def __init__(self, like: Tensor, growth: float | Tensor) -> None:
        self.growth = growth
        self.lowest = torch.full_like(like, math.inf)  # since the last restart
        self.origin = torch.full_like(like, math.inf)  # lowest residual when last restarted

    def exceeded(self, score: Tensor, live: Tensor) -> Tensor:
        """Return which samples must restart, a (B,) mask, and remember the residuals of the others."""
        # |r_k| > growth min_{j < k} |r_j|: a restart in the spirit of safeguarded Anderson acceleration
        # (Zhang, O'Donoghue and Boyd 2020).
        restart = live & (score > self.growth * self.lowest)
        self.lowest = torch.minimum(self.lowest, score)
        return restart

    def restart(self, restart: Tensor, best_score: Tensor) -> Tensor:
        """Restart these samples; return which of them go back to their best state, a (B,) mask."""
        rewind = restart & (best_score != self.origin)
        self.lowest = torch.where(restart, math.inf, self.lowest)
        self.origin = torch.where(restart, best_score, self.origin)
        return rewind

    def keep(self, index: Tensor) -> None:
        """Keep only the samples at the positions ``index``."""
        self.lowest, self.origin = self.lowest[index], self.origin[index]
