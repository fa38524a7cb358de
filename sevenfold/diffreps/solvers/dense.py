"""Gauss-Newton with the explicit Jacobian, or with J J^T where a formula without J is known."""

import torch
from torch import Tensor

from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.solvers.base import GaussNewton
from sevenfold.ranges import Count, NonNegative

CUTOFF = 1e-10
GROWTHS = 6


class Dense(GaussNewton):
    """Gauss-Newton with the explicit Jacobian, using the smaller of J^T J and J J^T.

    Args:
        gn_iters: Gauss-Newton iterations of a solve.
        damping: relative to the mean diagonal of J^T J or J J^T; 0: the pseudo-inverse (cutoff 1e-10).
    """

    def __init__(self, *, gn_iters: Count = 1, damping: NonNegative = 1e-3) -> None:
        super().__init__(gn_iters, damping)

    def direction(
        self, rendering: Rendering, theta: Tensor, residual: Tensor, damping: Tensor
    ) -> tuple[Tensor, int]:
        """Return d."""
        if self.damping and residual.shape[1] < theta.shape[1]:
            gram = rendering.gram(theta)
            if gram is not None:
                mu = damping * gram.diagonal(dim1=1, dim2=2).mean(1)
                return rendering.vjp(theta, positive_solve(gram, residual[..., None], mu)[..., 0]), 1
        jacobian = rendering.jacobian(theta)
        if self.damping == 0:
            return pseudo_solve(jacobian, residual), 1
        scale = jacobian.square().sum((1, 2)) / min(jacobian.shape[1:])
        return damped_solve(jacobian, residual, damping * scale), 1


def pseudo_solve(jacobian: Tensor, residual: Tensor) -> Tensor:
    """Return J^+ residual (B, p) by singular values; not finite where J is not."""
    # d = J^+ r, the least-squares solution of least norm   (Penrose 1955)
    finite = jacobian.isfinite().all((1, 2))
    safe = torch.where(finite[:, None, None], jacobian, torch.zeros_like(jacobian))
    solution = (torch.linalg.pinv(safe, rtol=CUTOFF) @ residual[..., None])[..., 0]
    return torch.where(finite[:, None], solution, torch.nan)


def damped_solve(jacobian: Tensor, residual: Tensor, mu: Tensor) -> Tensor:
    """Return (J^T J + mu I)^-1 J^T residual (B, p) for positive ``mu`` (B,).

    Where Cholesky fails the sample's damping grows tenfold, several times; not finite if that does not help.
    """
    # (J^T J + mu I)^-1 J^T = J^T (J J^T + mu I)^-1: the smaller of the two matrices is factored
    # (Levenberg 1944; Marquardt 1963)
    n, p = jacobian.shape[1:]
    gram = jacobian @ jacobian.mT if n < p else jacobian.mT @ jacobian
    right = residual[..., None] if n < p else jacobian.mT @ residual[..., None]
    solution = positive_solve(gram, right, mu)
    return (jacobian.mT @ solution if n < p else solution)[..., 0]


def positive_solve(gram: Tensor, right: Tensor, mu: Tensor) -> Tensor:
    """Return (gram + mu I)^-1 right; where Cholesky fails the sample's mu grows tenfold, several times."""
    identity = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    for _ in range(GROWTHS):
        factor, failed = torch.linalg.cholesky_ex(gram + mu[:, None, None] * identity)
        if not bool(failed.any()):
            return torch.cholesky_solve(right, factor)
        mu = torch.where(failed > 0, 10 * mu, mu)
    solution = torch.cholesky_solve(right, factor)
    return torch.where((failed > 0)[:, None, None], torch.nan, solution)
