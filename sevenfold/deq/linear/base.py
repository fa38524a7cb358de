"""The contract of a linear method, and the records of what it reached."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sevenfold.deq.base import Rows, Solver, State, Status, Stop
from sevenfold.deq.driver import solve
from sevenfold.deq.layout import Layout
from sevenfold.ranges import Checked


@dataclass(frozen=True)
class Adjoint:
    """How the solve of a linear system ended, per row, all (B,).

    ``products`` counts products with the Jacobian, ``residual`` is relative to the right-hand side and
    ``status`` a code of :class:`~sevenfold.deq.base.Status`; ``value`` (B, D) is empty in a stored record.
    """

    value: Tensor
    products: Tensor
    residual: Tensor
    status: Tensor

    @property
    def converged(self) -> Tensor:
        """Return where the tolerance was met, (B,)."""
        return self.status == Status.converged


class LinearMethod(Checked, ABC):
    """A method for (I - K) y = b, where K is known by its products alone.

    Example:
        >>> from sevenfold.deq.linear.gmres import GMRES
        >>> solution = GMRES().solve(lambda v: 0.5 * v, torch.ones(2, 3), max_products=9, tol=1e-6)
        >>> solution.value[0].round(decimals=3).tolist(), solution.products.tolist()
        ([2.0, 2.0, 2.0], [1, 1])
    """

    preconditioned: bool = False
    """Whether ``solve`` takes ``inverse=``, the forward solver's estimate of (I - K)^-1 or None."""

    @abstractmethod
    def solve(self, product: Rows, b: Tensor, *, max_products: int, tol: float) -> Adjoint:
        """Return the solution of y = product(y) + b for every row of b (B, D), started at zero.

        A row ends when its residual is at most ``tol`` times |b|; one with b = 0 needs no product.
        """


def solve_adjoint(
    method: LinearMethod | Solver,
    pull: Callable[[State], State],
    g: State,
    *,
    max_products: int,
    tol: float,
    inverse: Rows | None = None,
) -> tuple[State, Adjoint]:
    """Solve y = pull(y) + g for a state (B, ...) by a linear method or a fixed-point solver.

    ``inverse`` estimates the solution from the right-hand side, for a method that is preconditioned. Every
    row is scaled to |g| = 1 first, so that the tolerance is relative to tiny gradients too.
    """
    sizes = [part.reshape(len(part), -1).norm(dim=1, dtype=torch.float64) for part in g]
    size = torch.stack(sizes).norm(dim=0)
    unit = _times(g, 1 / size.where(size > 0, 1.0))
    if isinstance(method, Solver):

        def adjoint(y: State) -> State:
            return tuple(a + b for a, b in zip(pull(y), unit, strict=True))

        zero = tuple(map(torch.zeros_like, unit))
        solution = solve(adjoint, zero, method, max_iter=max_products, stop=Stop(mode="rel", tol=tol))
        record = Adjoint(size.new_empty(0), solution.steps, solution.residual_rel, solution.status)
        return _times(solution.value, size), record
    layout = Layout.of(unit)
    options: dict[str, Any] = {"max_products": max_products, "tol": tol}
    if method.preconditioned:
        options["inverse"] = inverse
    linear = method.solve(lambda v: layout.flat(pull(layout.unpack(v))), layout.flat(unit), **options)
    record = Adjoint(size.new_empty(0), linear.products, linear.residual, linear.status)
    return _times(layout.unpack(linear.value), size), record


def _times(state: State, factor: Tensor) -> State:
    """Multiply each sample by its factor (B,)."""
    return tuple(part * factor.view(-1, *[1] * (part.dim() - 1)).to(part.dtype) for part in state)


def status_of(residual: Tensor, tol: float) -> Tensor:
    """Return the codes of rows whose products are used up, (B,)."""
    status = torch.full_like(residual, Status.max_iter, dtype=torch.long)
    status.masked_fill_(residual <= tol, Status.converged)
    return status.masked_fill_(~residual.isfinite(), Status.nonfinite)
