"""The exact gradient of a fixed point by the implicit function theorem."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sevenfold.deq.base import Backward, Function, Solution, Solver, State, Stop
from sevenfold.deq.solve import solve


class Implicit(Backward):
    """Replace the gradient g that reaches z* = f(z*) by y = J^T y + g, J = df/dz at z*, then backpropagate y.

    The system is itself a fixed point, linear, started at zero and solved by any ``solver`` with at most
    ``max_iter`` products with J^T, to a relative residual ``tol``. f is evaluated once, with gradients,
    whatever the number of steps; its graph serves all products and is freed with the outer backward pass.
    ``latest`` keeps how the last backward solve ended (residuals and status, no states). Second derivatives
    (``create_graph=True``) are exact as well, at the price of one more evaluation; f must then be twice
    differentiable.
    """

    def __init__(
        self, *, solver: Solver | dict[str, Any] | None = None, max_iter: int = 40, tol: float = 1e-6
    ) -> None:
        self.solver = make_solver(solver, "solver")
        self.max_iter = max_iter
        self.stop = Stop(mode="rel", tol=tol)
        self.latest: Solution | None = None

    @torch.enable_grad()
    def attach(self, f: Function, z: State) -> list[State]:
        """Return [f(z)] with the implicit gradient."""
        leaf = tuple(part.detach().requires_grad_() for part in z)
        fz = f(leaf)
        return [_Correct.apply(self, f, len(fz), *fz, *leaf)]

    def solve(self, adjoint: Function, g: State) -> State:
        """Return y = adjoint(y)."""
        zero = tuple(map(torch.zeros_like, g))
        solution = solve(adjoint, zero, self.solver, max_iter=self.max_iter, stop=self.stop)
        self.latest = replace(solution, value=(), indexed=())
        return solution.value


class _Correct(torch.autograd.Function):
    """Identity on f(z); its backward pass replaces g by (I - J^T)^-1 g."""

    @staticmethod
    def forward(ctx: Any, rule: Implicit, f: Function, parts: int, *tensors: Tensor) -> State:
        fz, leaf = tensors[:parts], tensors[parts:]
        ctx.rule, ctx.f = rule, f
        out = tuple(part.view_as(part) for part in fz)
        ctx.save_for_backward(*fz, *leaf, *out)
        return out

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> tuple[Tensor | None, ...]:
        parts = len(g)
        saved = ctx.saved_tensors
        fz, leaf, out = saved[:parts], saved[parts : 2 * parts], saved[2 * parts :]
        twice = torch.is_grad_enabled()
        if (
            twice
        ):  # the products must depend on z* as the parameters move it: f once more, at the tracked output
            leaf, fz = out, ctx.f(out)
        tracked = [i for i, part in enumerate(fz) if part.requires_grad]

        def adjoint(y: State) -> State:
            create = torch.is_grad_enabled()
            back = torch.autograd.grad(
                [fz[i] for i in tracked],
                leaf,
                [y[i] for i in tracked],
                retain_graph=True,
                create_graph=create,
                materialize_grads=True,
            )
            return tuple(a + b for a, b in zip(back, g, strict=True))

        y = ctx.rule.solve(adjoint, g)
        if twice:
            (y,) = ctx.rule.attach(adjoint, y)
        return None, None, None, *y, *(None for _ in leaf)


def make_solver(node: Solver | dict[str, Any] | None, key: str) -> Solver:
    """Build a solver from its options; a built one passes through and None means Anderson."""
    from sevenfold.deq import SOLVERS
    from sevenfold.deq.choose import choose

    return node if isinstance(node, Solver) else choose(SOLVERS, node or {"name": "anderson"}, key)
