"""LSMR (Fong & Saunders 2011): better conditioned than conjugate gradients on the normal equations."""

import torch
from torch import Tensor

from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.solvers.matrix_free import MatrixFree, safe_divide


class LSMR(MatrixFree):
    """Minimization of |J d - r|^2 + mu |d|^2 by LSMR, for all samples side by side.

    Args:
        gn_iters: Gauss-Newton iterations of a solve.
        damping: mu relative to the mean diagonal of J^T J or J J^T.
        tol: relative residual of the linear system at which iterations end.
        max_iter: iterations at most.
    """

    def solve_damped(
        self, rendering: Rendering, theta: Tensor, residual: Tensor, mu: Tensor
    ) -> tuple[Tensor, int]:
        """Return d and iterations; names are the paper's, scalars are (B, 1)."""
        # beta u = b,  alpha v = A^T u   (Fong & Saunders 2011, the algorithm LSMR, with A = J, lambda^2 = mu)
        u, beta = _unit(residual)
        v, alpha = _unit(rendering.vjp(theta, u))
        damp, zetabar, alphabar = mu.sqrt()[:, None], alpha * beta, alpha
        one = torch.ones_like(alpha)
        rho, rhobar, cbar, sbar = one, one, one, torch.zeros_like(one)
        d, h, hbar = torch.zeros_like(theta), v, torch.zeros_like(theta)
        goal = self.tol * zetabar.abs()
        for step in range(1, self.max_iter + 1):
            running = (zetabar.abs() > goal).to(d)
            # Golub-Kahan bidiagonalization: beta u = A v - alpha u,  alpha v = A^T u - beta v
            u, beta = _unit(rendering.jvp(theta, v) - alpha * u)
            v, alpha = _unit(rendering.vjp(theta, u) - beta * v)
            # a rotation for the damping, then P_k and Pbar_k
            _, _, alphahat = _rotation(alphabar, damp)
            rhoold, rhobarold = rho, rhobar
            c, s, rho = _rotation(alphahat, beta)
            thetanew, alphabar = s * alpha, c * alpha
            thetabar = sbar * rho
            cbar, sbar, rhobar = _rotation(cbar * rho, thetanew)
            zeta, zetabar = cbar * zetabar, -sbar * zetabar
            # hbar <- h - (thetabar rho / (rho_old rhobar_old)) hbar;  x += (zeta / (rho rhobar)) hbar
            hbar = h - safe_divide(thetabar * rho, rhoold * rhobarold) * hbar
            d = d + running * safe_divide(zeta, rho * rhobar) * hbar
            h = v - safe_divide(thetanew, rho) * h
            if step == self.max_iter or not bool((zetabar.abs() > goal).any()):
                break
        return d, step


def _unit(vector: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows scaled to length one, and their lengths (B, 1)."""
    length = vector.norm(dim=1, keepdim=True)
    return safe_divide(vector, length), length


def _rotation(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return c, s, r of the plane rotation that takes (a, b) to (r, 0)."""
    r = torch.hypot(a, b)
    return safe_divide(a, r), safe_divide(b, r), r
