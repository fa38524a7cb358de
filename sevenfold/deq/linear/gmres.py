"""GMRES, the generalized minimal residual method (Saad and Schultz 1986; Saad 2003, algorithm 6.9)."""

import math
from typing import Literal

import torch
from torch import Tensor

from sevenfold.deq.base import Rows
from sevenfold.deq.history import combine, inner
from sevenfold.deq.linear.base import Adjoint, LinearMethod, status_of
from sevenfold.errors import ConfigError
from sevenfold.ranges import Count

BREAKDOWN = 1e-14  # a new direction this much shorter than its product lies in the space already


class GMRES(LinearMethod):
    """The solution whose residual is least over the Krylov space of the products taken so far.

    The basis V grows with the products really taken; the small least-squares problem of every row is solved
    in float64 by Givens rotations, which give the residual of every step for nothing.

    Args:
        restart: products after which the basis is dropped and the method starts from what it has; null for
            never.
        precondition: ``forward`` multiplies by the inverse Jacobian that the forward solver has estimated,
            on the right (Saad 2003, algorithm 9.5): the solution is the same, and takes about half of the
            products where J is not symmetric and the forward solve has converged; else it may take more. The
            forward solver must be Broyden, whose memory then lives until the backward pass. Gradients of
            second order, and those under transforms, are computed without.

    Example:
        >>> matrix = torch.tensor([[0.0, 0.9], [-0.9, 0.0]])
        >>> b = torch.tensor([[1.0, 0.0]])
        >>> solution = GMRES().solve(lambda v: v @ matrix.T, b, max_products=5, tol=1e-6)
        >>> torch.allclose(solution.value - solution.value @ matrix.T, b, atol=1e-6)
        True
    """

    def __init__(
        self, *, restart: Count | None = None, precondition: Literal["none", "forward"] = "none"
    ) -> None:
        if precondition not in ("none", "forward"):
            raise ConfigError("precondition", f"is {precondition!r}; expected 'none' or 'forward'")
        self.restart, self.precondition = restart, precondition
        self.preconditioned = precondition == "forward"

    def solve(
        self, product: Rows, b: Tensor, *, max_products: int, tol: float, inverse: Rows | None = None
    ) -> Adjoint:
        """Return the solution of y = product(y) + b, row by row; ``inverse`` preconditions it."""
        inverse = inverse or _same
        scale = b.norm(dim=1, dtype=torch.float64)
        y, residual = torch.zeros_like(b), (scale > 0).double()
        products = torch.zeros(len(b), dtype=torch.long, device=b.device)
        scale = scale.where(scale > 0, 1.0)
        left, r = max_products, b
        while left > 0:
            cycle = _Cycle(r, residual > tol, min(self.restart or left, left))
            while not cycle.finished(tol * scale):
                cycle.extend(product, inverse)
            products += cycle.products
            # A P u = b, y = P u
            y = y + inverse(cycle.correction())
            residual = torch.where(cycle.begun, cycle.residual / scale, residual)
            left -= cycle.size
            if left <= 1 or self.restart is None or not bool((residual > tol).any()):
                break
            r = b - (y - product(y))  # a restart costs one product
            products += residual > tol
            left -= 1
        return Adjoint(y, products, residual, status_of(residual, tol))


class _Cycle:
    """One Krylov space: A V_k = V_{k+1} H_k with A = I - K, by Arnoldi's process."""

    def __init__(self, r: Tensor, begun: Tensor, room: int) -> None:
        beta = r.norm(dim=1, dtype=torch.float64)
        self.begun, self.room, self.size = begun & (beta > 0), room, 0
        self.every = 1 if r.device.type == "cpu" else 4  # a look at a device stops its queue
        self.products = torch.zeros_like(begun, dtype=torch.long)
        self.running = self.begun
        self.stack = r.new_empty(min(room + 1, 8), *r.shape)  # it grows with the products really taken
        self.stack[0] = _unit(r, beta)
        self.residual = beta.where(self.begun, 0.0)
        self.rotated = [beta]  # Q^T beta e_1, one number a step
        self.columns: list[Tensor] = []  # of the triangular factor R, (B, j + 1) each
        self.cosines: list[Tensor] = []
        self.sines: list[Tensor] = []

    @property
    def basis(self) -> Tensor:
        """The vectors so far, (size + 1, B, D)."""
        return self.stack[: self.size + 1]

    def finished(self, limit: Tensor) -> bool:
        """Let rows go that have met their limit (B,); tell whether all have, or the room is used up."""
        self.running = self.running & (self.residual > limit)
        if self.size % self.every or not self.size:
            return self.size == self.room
        return self.size == self.room or not bool(self.running.any())

    def extend(self, product: Rows, inverse: Rows) -> None:
        """Add one vector to the basis and one column to R."""
        basis = self.basis
        last = inverse(basis[-1])
        w = last - product(last)
        length = w.norm(dim=1, dtype=torch.float64)
        h = torch.zeros(len(w), len(basis), dtype=torch.float64, device=w.device)
        for _ in range(2):  # one pass of Gram-Schmidt loses the last digits
            along = inner(basis, w[None])[:, 0]
            w = combine(basis, -along, w)
            h += along
        new = w.norm(dim=1, dtype=torch.float64)
        new = new.where(new > BREAKDOWN * length, 0.0)
        for j, (cosine, sine) in enumerate(zip(self.cosines, self.sines, strict=True)):
            first, second = h[:, j].clone(), h[:, j + 1].clone()
            h[:, j], h[:, j + 1] = cosine * first + sine * second, cosine * second - sine * first
        # The rotation that makes the new subdiagonal zero; its sine is the factor of the residual.
        corner = torch.hypot(h[:, -1], new)
        safe = corner.where(corner > 0, 1.0)
        cosine, sine = (h[:, -1] / safe).where(corner > 0, 1.0), new / safe
        h[:, -1] = corner
        going = self.running
        ahead = self.rotated[-1]
        self.rotated[-1] = torch.where(going, cosine * ahead, 0.0)
        self.rotated.append(torch.where(going, -sine * ahead, ahead))
        # Rows that have ended get a unit column, which leaves their solution as it is.
        h = torch.where(going[:, None], h, 0.0)
        h[:, -1] = h[:, -1].where(going & (h[:, -1] != 0), 1.0)
        self.columns.append(h)
        self.cosines.append(torch.where(going, cosine, 1.0))
        self.sines.append(torch.where(going, sine, 0.0))
        self.residual = torch.where(going, self.rotated[-1].abs(), self.residual)
        self.products += going
        self.size += 1
        if self.size == len(self.stack):
            more = min(len(self.stack), self.room + 1 - len(self.stack))
            self.stack = torch.cat([self.stack, w.new_empty(more, *w.shape)])
        self.stack[self.size] = _unit(w, new)

    def correction(self) -> Tensor:
        """Return V y with R y = Q^T beta e_1, (B, D)."""
        size, rows = self.size, len(self.begun)
        upper = torch.zeros(rows, size, size, dtype=torch.float64, device=self.residual.device)
        for j, column in enumerate(self.columns):
            upper[:, : j + 1, j] = column
        target = torch.stack(self.rotated[:size], dim=1)
        weights = torch.linalg.solve_triangular(upper, target[:, :, None], upper=True)[:, :, 0]
        weights = weights.where(weights.isfinite().all(1, keepdim=True) & self.begun[:, None], 0.0)
        return combine(self.basis[:size], weights)


def _same(rows: Tensor) -> Tensor:
    return rows


def _unit(vectors: Tensor, length: Tensor) -> Tensor:
    """Return rows of length one; zero where the length is zero."""
    factor = (1 / length.where(length > 0, math.inf)).to(vectors.dtype)
    return vectors * factor[:, None]
