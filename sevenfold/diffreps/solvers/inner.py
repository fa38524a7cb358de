"""A few optimizer steps on the squared residual: without a Jacobian, for representations of any size."""

from typing import Literal

import torch
from torch import Tensor

from sevenfold.diffreps import optimizers
from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.solvers.base import Solution, Solver, SolverState
from sevenfold.ranges import Count, LearningRate


class Inner(Solver):
    """Gradient steps on the mean squared residual; the optimizer's state persists between solves.

    Args:
        steps: of a solve.
        lr: the rate. One step of gradient descent uses J^T only, as score distillation does.
        optimizer: ``adam`` or plain ``sgd``.
    """

    def __init__(
        self, *, steps: Count = 20, lr: LearningRate = 3e-3, optimizer: Literal["adam", "sgd"] = "adam"
    ) -> None:
        self.steps, self.lr, self.optimizer = steps, lr, optimizer

    def begin(self, theta: Tensor) -> SolverState:
        """Return Adam's moments before the first step."""
        return optimizers.begin(theta)

    def solve(self, rendering: Rendering, theta: Tensor, target: Tensor, state: SolverState) -> Solution:
        """Descend; a sample whose result is not finite retains its old parameters."""
        # theta <- theta - lr Adam(J^T (f(theta) - y*)): for many steps the projection, for one step and sgd
        # the direction of score distillation   (Kingma & Ba 2015; Poole et al. 2022)
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
