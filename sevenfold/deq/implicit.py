"""The exact gradient of a fixed point, by the implicit function theorem (Bai et al. 2019, theorem 1)."""

import logging
from typing import Any

import torch
from torch import Tensor

from sevenfold.deq.base import Backward, Function, Rows, Solution, Solver, State, Status
from sevenfold.deq.components import make_adjoint
from sevenfold.deq.errors import NotConverged
from sevenfold.deq.linear.base import Adjoint, LinearMethod, solve_adjoint
from sevenfold.deq.nodes import AdjointNode
from sevenfold.deq.pull_back import pull_back
from sevenfold.deq.transforms import exporting
from sevenfold.errors import ConfigError
from sevenfold.ranges import Count, NonNegative

logger = logging.getLogger(__name__)


class Implicit(Backward):
    """The exact gradient: y = J^T y + g with J = df/dz at z* replaces the gradient g that reaches z* = f(z*).

    The system is linear and is solved row by row, started at zero, whatever the number of steps that the
    solution took. On a closure f, as here, f is evaluated once, with gradients; that graph serves all
    products and is freed by the surrounding backward pass. With arguments (:func:`fixed_point`) only z* and
    the arguments are stored, and every derivative exists; on a closure second ones are refused
    (``NotImplementedError``), for the graph of f hangs on a detached z*.

    ``latest`` is the record of the last backward solve, :class:`~sevenfold.deq.linear.base.Adjoint`.

    Args:
        adjoint: the method for the linear system, of ``LINEAR``; null for GMRES without restarts.
        max_products: most products with J^T of one backward pass.
        tol: the residual relative to g at which a row of the backward solve stops.
        strict: raise ``NotConverged`` where a solve, forward or backward, misses its tolerance; otherwise it
            is reported once.

    Example:
        >>> from sevenfold.deq import DEQ
        >>> layer, a = DEQ(backward={"name": "implicit"}), torch.tensor([[0.5]], requires_grad=True)
        >>> states, _ = layer(lambda z: (0.5 * z[0] + a,), (torch.zeros(1, 1),))  # z* = 2 a
        >>> states[-1][0].sum().backward()
        >>> round(a.grad.item(), 3)
        2.0
    """

    def __init__(
        self,
        *,
        adjoint: LinearMethod | Solver | AdjointNode | None = None,
        max_products: Count = 60,
        tol: NonNegative = 1e-6,
        strict: bool = False,
    ) -> None:
        self.adjoint = make_adjoint(adjoint)
        self.max_products, self.tol, self.strict = max_products, tol, strict
        self.latest: Adjoint | None = None
        self._warned: set[str] = set()

    @property
    def preconditioned(self) -> bool:
        """Whether the backward solve uses the forward solver's estimate of the inverse Jacobian."""
        return isinstance(self.adjoint, LinearMethod) and self.adjoint.preconditioned

    def check_forward(self, solver: Solver) -> None:
        """Raise ``ConfigError`` where the rule needs more of the forward solver than it gives."""
        if self.preconditioned and type(solver).transposed_inverse is Solver.transposed_inverse:
            raise ConfigError(
                "adjoint.precondition",
                f"is 'forward', but {type(solver).__name__} estimates no inverse Jacobian; use the solver "
                "broyden, or precondition: none",
            )

    @torch.enable_grad()
    def attach(self, f: Function, z: State, record: Solution | None = None) -> list[State]:
        """Return [f(z)] with the implicit gradient; ``record`` is that of the solve, if there was one."""
        if exporting():  # an exported program has no backward pass
            return [f(z)]
        if record is not None:
            self.judge_forward(record)
        leaf = tuple(part.detach().requires_grad_() for part in z)
        fz = f(leaf)
        return [_Correct.apply(self, record.inverse if record is not None else None, *fz, *leaf)]

    def solve(self, pull: Function, g: State, inverse: Rows | None = None) -> State:
        """Return the solution of y = pull(y) + g, or the method's best iterate, and judge it."""
        y, self.latest = solve_adjoint(
            self.adjoint, pull, g, max_products=self.max_products, tol=self.tol, inverse=inverse
        )
        self._judge(
            self.latest.status,
            self.latest.residual,
            "the backward solve failed to reach its tolerance",
            "the gradient is its best iterate; raise max_products, or choose another adjoint",
            None,
        )
        return y

    def judge_forward(self, solution: Solution, *, wanted: bool = True) -> None:
        """Report a solution that is none: the theorem does not hold where z differs from f(z).

        Where no gradient is ``wanted``, only a strict rule objects.
        """
        if not (wanted or self.strict):
            return
        self._judge(
            solution.status,
            solution.residual_rel,
            "the forward solve did not reach its tolerance",
            "its implicit gradient is wrong by about as much; raise max_iter, or train by phantom steps",
            solution,
        )

    def _judge(
        self, status: Tensor, residual: Tensor, what: str, advice: str, solution: Solution | None
    ) -> None:
        if not (self.strict or (what not in self._warned and logger.isEnabledFor(logging.WARNING))):
            return
        bad = status != Status.converged
        if not bool(bad.any()):
            return
        counts = ", ".join(
            f"{s.name} {int((status == s).sum())}" for s in Status if bool((status == s).any())
        )
        worst = float(residual[bad].max())
        text = f"{what} (samples: {counts}; largest relative residual {worst:.2g}): {advice}"
        if self.strict:
            raise NotConverged(text, solution)
        self._warned.add(what)
        logger.warning("%s", text)


class _Correct(torch.autograd.Function):
    """Identity on f(z); its backward pass replaces g by (I - J^T)^-1 g. For closures f alone."""

    @staticmethod
    def forward(ctx: Any, rule: Implicit, inverse: Rows | None, *tensors: Tensor) -> State:
        ctx.rule, ctx.inverse = rule, inverse
        ctx.save_for_backward(*tensors)
        return tuple(part.view_as(part) for part in tensors[: len(tensors) // 2])

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise NotImplementedError(
                "second derivatives (create_graph=True) do not pass through the implicit gradient of a "
                "closure: f depends on tensors outside args; pass them as args, or use the phantom rule"
            )
        fz, z = ctx.saved_tensors[: len(g)], ctx.saved_tensors[len(g) :]
        y = ctx.rule.solve(lambda y: pull_back(fz, z, y), g, ctx.inverse)
        return None, None, *y, *(None for _ in z)
