"""The interface of solvers, which compute parameters that render a target, for all samples at once."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.representations.base import Representation
from sevenfold.ranges import Checked

SolverState = dict[str, Tensor]
HALVINGS = 5


@dataclass(frozen=True)
class Solution:
    """The result of a solver.

    Attributes:
        theta: (B, p) parameters.
        values: (B, n) their rendering.
        state: of the solver.
        residual: (B,) norm of target minus rendering, relative to that before the solve.
        inner: iterations of the inner loop.
        refused: (B,) number of steps that were not finite or did not lower the residual, and were undone.
    """

    theta: Tensor
    values: Tensor
    state: SolverState
    residual: Tensor
    inner: int
    refused: Tensor


class Solver(Checked, ABC):
    """A solver of rendering(theta) = target in the least-squares sense, starting from theta."""

    def check(self, representation: Representation) -> None:
        """Raise ``ConfigError`` for a representation that this solver cannot invert."""
        return None

    def begin(self, theta: Tensor) -> SolverState:
        """Return the state between solves: plain tensors, so that snapshots contain it."""
        return {}

    @abstractmethod
    def solve(self, rendering: Rendering, theta: Tensor, target: Tensor, state: SolverState) -> Solution:
        """Return the outcome for a ``target`` (B, n)."""


class GaussNewton(Solver):
    """Gauss-Newton steps with damping and step control (Levenberg 1944; Marquardt 1963).

    One iteration is the tangent step, which is that of the ODE; several are a projection. A step that raises
    a sample's residual is halved, up to five times; after that it is refused and the sample's damping grows
    tenfold, to fall again after accepted steps.
    """

    def __init__(self, gn_iters: int, damping: float) -> None:
        self.gn_iters, self.damping = gn_iters, damping

    def begin(self, theta: Tensor) -> SolverState:
        """Return the initial factor of the damping, 1."""
        return {"raised": theta.new_ones(len(theta))}

    @abstractmethod
    def direction(
        self, rendering: Rendering, theta: Tensor, residual: Tensor, damping: Tensor
    ) -> tuple[Tensor, int]:
        """Return d (B, p) near the least-squares solution of J d = residual, and inner iterations.

        ``damping`` (B,) is relative to the mean squared singular value of J.
        """

    def solve(self, rendering: Rendering, theta: Tensor, target: Tensor, state: SolverState) -> Solution:
        """Take the steps."""
        values, raised, inner = rendering(theta), state["raised"], 0
        before = (target - values).norm(dim=1)
        refused = torch.zeros(len(theta), dtype=torch.long, device=theta.device)
        for _ in range(self.gn_iters):
            # d = argmin |J d - (y* - f(theta))|^2 + mu |d|^2
            d, iterations = self.direction(rendering, theta, target - values, self.damping * raised)
            theta, values, bad = accept(rendering, theta, values, target, d)
            raised = torch.where(bad, raised * 10, (raised / 10).clamp(min=1))
            refused, inner = refused + bad, inner + iterations
        residual = (target - values).norm(dim=1) / before.clamp(min=torch.finfo(theta.dtype).tiny)
        return Solution(theta, values, {"raised": raised}, residual, inner, refused)


def accept(
    rendering: Rendering, theta: Tensor, values: Tensor, target: Tensor, d: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return parameters and values after the longest of the steps d, d/2, ... that lowers the residual.

    The third value (B,) is true for samples whose step was refused.
    """
    finite = d.isfinite().all(1)
    d = torch.where(finite[:, None], d, torch.zeros_like(d))
    before = (target - values).square().sum(1)
    length = torch.ones_like(before)
    for _ in range(HALVINGS + 1):
        candidate = theta + length[:, None] * d
        rendered = rendering(candidate)
        # written as "not lower" so that NaN counts as worse
        worse = ~((target - rendered).square().sum(1) <= before * (1 + 1e-6))
        if not bool(worse.any()):
            break
        length = torch.where(worse, length / 2, length)
    bad = worse[:, None]
    return torch.where(bad, theta, candidate), torch.where(bad, values, rendered), worse | ~finite
