"""The common part of solvers that never form the Jacobian."""

from abc import abstractmethod

import torch
from torch import Tensor

from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.solvers.base import GaussNewton
from sevenfold.ranges import Count, NonNegative

PROBES = 4


class MatrixFree(GaussNewton):
    """Gauss-Newton whose linear systems are solved by products with J and J^T.

    ``tol``: relative residual of the normal equations at which a sample stops; ``max_iter``: most products.
    Few iterations regularize: they leave directions unchanged that the views hardly determine.
    """

    def __init__(
        self,
        *,
        gn_iters: Count = 1,
        damping: NonNegative = 1e-3,
        tol: NonNegative = 1e-4,
        max_iter: Count = 20,
    ) -> None:
        super().__init__(gn_iters, damping)
        self.tol, self.max_iter = tol, max_iter

    @abstractmethod
    def solve_damped(
        self, rendering: Rendering, theta: Tensor, residual: Tensor, mu: Tensor
    ) -> tuple[Tensor, int]:
        """Return d near (J^T J + mu I)^-1 J^T residual, (B, p), and iterations; ``mu`` (B,)."""

    def direction(
        self, rendering: Rendering, theta: Tensor, residual: Tensor, damping: Tensor
    ) -> tuple[Tensor, int]:
        """Return d, its damping scaled by an estimate of the mean squared singular value."""
        # the damping is relative, as in the dense solver, and the scale of J has to be estimated
        if self.damping:
            damping = damping * mean_square(rendering, theta, residual.shape[1])
        return self.solve_damped(rendering, theta, residual, damping)


def mean_square(rendering: Rendering, theta: Tensor, n: int) -> Tensor:
    """Estimate |J|^2 / min(n, p) (B,) from random signs, the same for every sample (Hutchinson 1990)."""
    # E |J^T s|^2 = tr(J J^T) for random signs s
    generator = torch.Generator().manual_seed(0)
    total = theta.new_zeros(len(theta))
    for _ in range(PROBES):
        signs = 2 * torch.randint(2, (n,), generator=generator).to(theta) - 1
        total = total + rendering.vjp(theta, signs.expand(len(theta), n)).square().sum(1)
    return total / PROBES / min(n, theta.shape[1])


def dot(one: Tensor, two: Tensor) -> Tensor:
    """Return inner products (B, 1) of rows."""
    return (one * two).sum(1, keepdim=True)


def safe_divide(vector: Tensor, by: Tensor) -> Tensor:
    """Return vector / by, zero where ``by`` (B, 1) is zero."""
    return torch.where(
        by > 0, vector / by.clamp(min=torch.finfo(vector.dtype).tiny), torch.zeros_like(vector)
    )
