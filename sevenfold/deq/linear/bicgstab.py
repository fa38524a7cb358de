"""BiCGStab, the stabilized biconjugate gradient method (van der Vorst 1992; Saad 2003, algorithm 7.7)."""

import torch
from torch import Tensor

from sevenfold.deq.base import Rows
from sevenfold.deq.linear.base import Adjoint, LinearMethod, status_of


class BiCGStab(LinearMethod):
    """Short recurrences: a handful of vectors whatever the number of products, two products a step.

    Example:
        >>> solution = BiCGStab().solve(lambda v: 0.5 * v, torch.ones(1, 3), max_products=9, tol=1e-6)
        >>> solution.value.tolist()
        [[2.0, 2.0, 2.0]]
    """

    def __init__(self) -> None:
        """There is nothing to choose."""

    def solve(self, product: Rows, b: Tensor, *, max_products: int, tol: float) -> Adjoint:
        """Return the solution of y = product(y) + b, row by row."""
        scale = b.norm(dim=1, dtype=torch.float64)
        running = scale > 0
        residual = running.double()
        scale = scale.where(running, 1.0)
        y, r, shadow, p = torch.zeros_like(b), b.clone(), b.clone(), b.clone()
        products = torch.zeros(len(b), dtype=torch.long, device=b.device)
        rho = _dot(shadow, r)
        while bool(running.any()) and int(products.max()) + 2 <= max_products:
            ap = p - product(p)
            # alpha = <r, r'> / <A p, r'>,  s = r - alpha A p,  omega = <A s, s> / <A s, A s>
            alpha = _ratio(rho, _dot(ap, shadow))
            s = r - alpha * ap
            at = s - product(s)
            omega = _ratio(_dot(at, s), _dot(at, at))
            y = torch.where(running[:, None], y + alpha * p + omega * s, y)
            r = s - omega * at
            new = _dot(r, shadow)
            p = r + _ratio(new, rho) * _ratio(alpha, omega) * (p - omega * ap)
            rho = new
            residual = torch.where(running, r.norm(dim=1, dtype=torch.float64) / scale, residual)
            products += 2 * running
            running = running & (residual > tol) & residual.isfinite()
        return Adjoint(y, products, residual, status_of(residual, tol))


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(1, keepdim=True)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    # A breakdown leaves the row where it is; its residual then tells.
    return a / b.where(b != 0, 1.0)
