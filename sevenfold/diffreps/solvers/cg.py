"""Conjugate gradients on the normal equations."""

import torch
from torch import Tensor

from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.solvers.matrix_free import MatrixFree, dot, safe_divide


class ConjugateGradient(MatrixFree):
    """Conjugate gradients on (J^T J + mu I) d = J^T r, from d = 0 (Hestenes & Stiefel 1952).

    Args:
        gn_iters: Gauss-Newton iterations of a solve.
        damping: mu relative to the mean diagonal of J^T J or J J^T.
        tol: relative residual of the linear system at which iterations end.
        max_iter: iterations at most.
    """

    def solve_damped(
        self, rendering: Rendering, theta: Tensor, residual: Tensor, mu: Tensor
    ) -> tuple[Tensor, int]:
        """Return d and iterations."""
        # a = r.r / p.Ap;  d += a p;  r -= a Ap;  p <- r + (r.r / r_old.r_old) p,  A = J^T J + mu I
        # (Hestenes & Stiefel 1952); a sample that has converged stands still
        r = rendering.vjp(theta, residual)
        d, direction, square = torch.zeros_like(theta), r, dot(r, r)
        goal = self.tol**2 * square
        for step in range(1, self.max_iter + 1):
            product = rendering.vjp(theta, rendering.jvp(theta, direction)) + mu[:, None] * direction
            running = (square > goal).to(d)
            length = running * safe_divide(square, dot(direction, product))
            d, r = d + length * direction, r - length * product
            before, square = square, torch.where(running > 0, dot(r, r), square)
            direction = torch.where(running > 0, r + safe_divide(square, before) * direction, direction)
            if step == self.max_iter or not bool((square > goal).any()):
                break
        return d, step
