"""A few steps of an optimizer on the squared residual: no Jacobian, scales to any representation."""

from typing import Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.solvers.base import Solved, Solver, SolverState

BETAS = (0.9, 0.999)


class Inner(Solver):
    """Minimize the mean squared residual; the optimizer's state is kept between solves.

    Args:
        steps: of a solve.
        lr: the rate. Gradient descent with one step is J^T only, which is what score distillation does.
        optimizer: ``adam`` or plain ``sgd``.
    """

    def __init__(
        self, *, steps: int = 20, lr: float = 3e-3, optimizer: Literal["adam", "sgd"] = "adam"
    ) -> None:
        if steps < 1 or lr <= 0:
            raise ConfigError("steps", f"needs steps >= 1 and lr > 0, got {steps}, {lr:g}")
        self.steps, self.lr, self.optimizer = steps, lr, optimizer

    def begin(self, theta: Tensor) -> SolverState:
        """Start Adam's moments."""
        zeros = torch.zeros_like(theta)
        return {"first": zeros, "second": zeros.clone(), "count": theta.new_zeros(())}

    def solve(self, rendering: Rendering, theta: Tensor, target: Tensor, state: SolverState) -> Solved:
        """Descend; a sample whose result is not finite keeps its old parameters."""
        old_theta, old_values, state = theta, rendering(theta), dict(state)
        for _ in range(self.steps):
            with torch.enable_grad():
                free = theta.detach().requires_grad_(True)
                loss = (rendering(free) - target).square().mean(1).sum()
                (gradient,) = torch.autograd.grad(loss, free)
            theta = theta - self.lr * self._scaled(gradient, state)
        values = rendering(theta)
        bad = ~(theta.isfinite().all(1) & values.isfinite().all(1))
        theta = torch.where(bad[:, None], old_theta, theta)
        values = torch.where(bad[:, None], old_values, values)
        before = (target - old_values).norm(dim=1).clamp(min=torch.finfo(theta.dtype).tiny)
        for name in ("first", "second"):
            state[name] = torch.where(bad[:, None], torch.zeros_like(theta), state[name])
        return Solved(theta, values, state, (target - values).norm(dim=1) / before, self.steps, bad.long())

    def _scaled(self, gradient: Tensor, state: SolverState) -> Tensor:
        """Return the gradient, or Adam's direction with its moments brought up to date."""
        if self.optimizer == "sgd":
            return gradient
        one, two = BETAS
        count = state["count"] = state["count"] + 1
        state["first"] = one * state["first"] + (1 - one) * gradient
        state["second"] = two * state["second"] + (1 - two) * gradient.square()
        first, second = state["first"] / (1 - one**count), state["second"] / (1 - two**count)
        return first / (second.sqrt() + 1e-8)
