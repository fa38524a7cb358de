"""The conjugate gradient method (Hestenes and Stiefel 1952; Saad 2003, algorithm 6.18)."""

import torch
from torch import Tensor

from sevenfold.deq.base import Rows, Status
from sevenfold.deq.linear.base import Adjoint, LinearMethod, status_of
from sevenfold.errors import ConfigError
from sevenfold.seeding import torch_generator

SYMMETRIC = 1e-4  # difference of <u, A v> and <v, A u>, relative to |u| |A v|, that rounding may cause


class CG(LinearMethod):
    """For symmetric Jacobians, as at the minimum of a loss: one product and four vectors a step.

    A row that meets a direction of negative curvature stops there with status ``saddle``. A Jacobian that is
    not symmetric is refused at the first solve, by one pair of products.

    Example:
        >>> solution = CG().solve(lambda v: 0.5 * v, torch.ones(1, 3), max_products=9, tol=1e-6)
        >>> solution.value.tolist()
        [[2.0, 2.0, 2.0]]
    """

    def __init__(self) -> None:
        """There is nothing to choose."""
        self._symmetric = False

    def solve(self, product: Rows, b: Tensor, *, max_products: int, tol: float) -> Adjoint:
        """Return the solution of y = product(y) + b, row by row."""
        if not self._symmetric:
            self._check(product, b)
        scale = b.norm(dim=1, dtype=torch.float64)
        running = scale > 0
        residual, saddle = running.double(), torch.zeros_like(running)
        scale = scale.where(running, 1.0)
        y, r, p = torch.zeros_like(b), b.clone(), b.clone()
        products = torch.zeros(len(b), dtype=torch.long, device=b.device)
        square = (r * r).sum(1, keepdim=True)
        for _ in range(max_products):
            if not bool(running.any()):
                break
            ap = p - product(p)
            products += running
            curvature = (p * ap).sum(1, keepdim=True)
            saddle = saddle | (running & (curvature[:, 0] <= 0))
            running = running & ~saddle
            # alpha = <r, r> / <A p, p>,  beta = <r', r'> / <r, r>
            alpha = square / curvature.where(curvature > 0, 1.0)
            y = torch.where(running[:, None], y + alpha * p, y)
            r = torch.where(running[:, None], r - alpha * ap, r)
            new = (r * r).sum(1, keepdim=True)
            p = r + new / square.where(square > 0, 1.0) * p
            square = new
            residual = torch.where(running, r.norm(dim=1, dtype=torch.float64) / scale, residual)
            running = running & (residual > tol) & residual.isfinite()
        status = status_of(residual, tol).masked_fill_(saddle, Status.saddle)
        return Adjoint(y, products, residual, status)

    def _check(self, product: Rows, b: Tensor) -> None:
        generator = torch_generator(0, "symmetry of a Jacobian", device=b.device)
        # One random pair shows any asymmetry with probability one.
        u, v = (torch.randn(b.shape, generator=generator, device=b.device, dtype=b.dtype) for _ in range(2))
        left, right = (u * product(v)).sum(1), (v * product(u)).sum(1)
        if bool(((left - right).abs() > SYMMETRIC * u.norm(dim=1) * v.norm(dim=1)).any()):
            raise ConfigError(
                "adjoint",
                "cg needs a symmetric Jacobian, and <u, J v> differs from <v, J u> here: use gmres",
            )
        self._symmetric = True
