"""The exact gradient of a fixed point, by the implicit function theorem (Bai et al. 2019, theorem 1)."""

import logging
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sevenfold.deq.base import Backward, Function, Solution, Solver, State, Status, Stop
from sevenfold.deq.components import make_solver
from sevenfold.deq.driver import solve
from sevenfold.deq.nodes import SolverNode
from sevenfold.deq.pull_back import pull_back
from sevenfold.errors import ConfigError
from sevenfold.ranges import Count, NonNegative

logger = logging.getLogger(__name__)


class Implicit(Backward):
    """The exact gradient: y = J^T y + g with J = df/dz at z* replaces the gradient g that reaches z* = f(z*).

    The system is itself a linear fixed point, started at zero. f is evaluated once, with gradients, whatever
    the number of steps; that graph serves all products and is freed by the surrounding backward pass.

    Second derivatives are refused (``create_graph=True`` raises ``NotImplementedError``): the graph of f
    hangs on a detached z*, so they would be silently wrong. A :class:`~sevenfold.deq.phantom.Phantom` with
    enough steps has them. ``latest`` is the record of the last backward solve (residuals and status, without
    states).

    Args:
        solver: the solver of the backward system; null for Anderson with its defaults.
        max_iter: most products with J^T of one backward pass, at least 1.
        tol: the relative residual at which the backward solve stops.

    Example:
        >>> from sevenfold.deq import DEQ
        >>> layer, a = DEQ(backward={"name": "implicit"}), torch.tensor([[0.5]], requires_grad=True)
        >>> states, _ = layer(lambda z: (0.5 * z[0] + a,), (torch.zeros(1, 1),))  # z* = 2 a
        >>> states[-1][0].sum().backward()
        >>> round(a.grad.item(), 3)
        2.0
    """

    def __init__(
        self, *, solver: Solver | SolverNode | None = None, max_iter: Count = 40, tol: NonNegative = 1e-6
    ) -> None:
        if max_iter < 1:
            raise ConfigError("max_iter", f"is {max_iter}; expected at least 1 product with the Jacobian")
        self.solver, self.max_iter, self.stop = make_solver(solver), max_iter, Stop(mode="rel", tol=tol)
        self.latest: Solution | None = None

    @torch.enable_grad()
    def attach(self, f: Function, z: State) -> list[State]:
        """Return [f(z)] with the implicit gradient."""
        leaf = tuple(part.detach().requires_grad_() for part in z)
        fz = f(leaf)
        return [_Correct.apply(self, *fz, *leaf)]

    def solve(self, adjoint: Function, g: State) -> State:
        """Return the solution of y = adjoint(y), or the best iterate."""
        solution = solve(
            adjoint, tuple(map(torch.zeros_like, g)), self.solver, max_iter=self.max_iter, stop=self.stop
        )
        self.latest = replace(solution, value=(), indexed=())
        if logger.isEnabledFor(logging.WARNING) and (solution.status >= Status.diverged).any():
            counts = ", ".join(f"{name} {count}" for name, count in solution.counts().items() if count)
            logger.warning("the backward solve failed (samples: %s); its best iterate is used", counts)
        return solution.value


class _Correct(torch.autograd.Function):
    """Identity on f(z); its backward pass replaces g by (I - J^T)^-1 g."""

    @staticmethod
    def forward(ctx: Any, rule: Implicit, *tensors: Tensor) -> State:
        ctx.rule = rule
        ctx.save_for_backward(*tensors)
        return tuple(part.view_as(part) for part in tensors[: len(tensors) // 2])

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise NotImplementedError(
                "second derivatives (create_graph=True) do not pass through an implicit gradient; "
                "use the phantom rule with more steps instead"
            )
        fz, z = ctx.saved_tensors[: len(g)], ctx.saved_tensors[len(g) :]
        sizes = [part.reshape(len(part), -1).norm(dim=1, dtype=torch.float64) for part in g]
        size = torch.stack(sizes).norm(dim=0)
        unit = _times(
            g, 1 / size.where(size > 0, 1.0)
        )  # so that the tolerance is relative to tiny gradients too

        def adjoint(y: State) -> State:
            return tuple(a + b for a, b in zip(pull_back(fz, z, y), unit, strict=True))

        return None, *_times(ctx.rule.solve(adjoint, unit), size), *(None for _ in z)


def _times(state: State, factor: Tensor) -> State:
    """Multiply each sample by its factor (B,)."""
    return tuple(part * factor.view(-1, *[1] * (part.dim() - 1)).to(part.dtype) for part in state)
