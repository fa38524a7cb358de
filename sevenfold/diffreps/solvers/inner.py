"""A few steps of an optimizer on the squared residual: no Jacobian, scales to any representation."""

from typing import Literal

import torch
from torch import Tensor

from sevenfold.diffreps import optimizers
from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.solvers.base import Solution, Solver, SolverState
from sevenfold.ranges import Count, LearningRate


class Inner(Solver):
    """Minimize the mean squared residual; the optimizer's state is kept between solves.

    Args:
        steps: of a solve.
        lr: the rate. Gradient descent with one step is J^T only, which is what score distillation does.
        optimizer: ``adam`` or plain ``sgd``.
    """

    def __init__(
        self, *, steps: Count = 20, lr: LearningRate = 3e-3, optimizer: Literal["adam", "sgd"] = "adam"
    ) -> None:
        self.steps, self.lr, self.optimizer = steps, lr, optimizer

    def begin(self, theta: Tensor) -> SolverState:
        """Start Adam's moments."""
        return optimizers.begin(theta)

    def solve(self, rendering: Rendering, theta: Tensor, target: Tensor, state: SolverState) -> Solution:
        """Descend; a sample whose result is not finite keeps its old parameters."""
        old_theta, old_values, state = theta, rendering(theta), dict(state)
        for _ in range(self.steps):
            gradient = self._gradient(rendering, theta, target)
            theta = theta - self.lr * optimizers.direction(self.optimizer, gradient, state, (0.9, 0.999))
        values = rendering(theta)
        bad = ~(theta.isfinite().all(1) & values.isfinite().all(1))
        theta = torch.where(bad[:, None], old_theta, theta)
        values = torch.where(bad[:, None], old_values, values)
        for name in ("first", "second"):
            state[name] = torch.where(bad[:, None], torch.zeros_like(theta), state[name])
        before = (target - old_values).norm(dim=1).clamp(min=torch.finfo(theta.dtype).tiny)
        return Solution(theta, values, state, (target - values).norm(dim=1) / before, self.steps, bad.long())

    def _gradient(self, rendering: Rendering, theta: Tensor, target: Tensor) -> Tensor:
        with torch.enable_grad():
            free = theta.detach().requires_grad_(True)
            loss = (rendering(free) - target).square().mean(1).sum()
            return torch.autograd.grad(loss, free)[0]
