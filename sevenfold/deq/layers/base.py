"""What layers with a map of their own share: how they are solved."""

from collections.abc import Callable
from typing import Any

from torch import nn

from sevenfold.deq.base import Solution, Solver, Stop
from sevenfold.deq.components import make_solver, make_stop
from sevenfold.deq.implicit import Implicit
from sevenfold.deq.nodes import AdjointNode, SolverNode
from sevenfold.deq.problems import fixed_point
from sevenfold.tables import Node


class EquilibriumLayer(nn.Module):
    """A module that solves a fixed point in its forward pass and differentiates it implicitly."""

    def __init__(
        self,
        *,
        solver: Solver | SolverNode | None,
        adjoint: Implicit | AdjointNode | None,
        max_iter: int,
        stop: Stop | Node,
    ) -> None:
        super().__init__()
        self.solver, self.max_iter, self.stop = make_solver(solver), max_iter, make_stop(stop)
        self.rule = adjoint if isinstance(adjoint, Implicit) else Implicit(adjoint=adjoint)
        # Wrong pairs of options are refused here, not at the first batch.
        self.rule.check_forward(self.solver)

    def solve(
        self, f: Callable[..., Any], z0: Any, args: tuple[Any, ...], *, batched: bool = True
    ) -> tuple[Any, Solution]:
        """Return the solution of z = f(z, *args) and the record of the solve."""
        options: dict[str, Any] = {"solver": self.solver, "adjoint": self.rule, "max_iter": self.max_iter}
        return fixed_point(f, z0, args, stop=self.stop, batched=batched, **options)
