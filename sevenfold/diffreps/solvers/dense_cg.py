"""Conjugate gradients with an explicit or factored Jacobian."""

from dataclasses import dataclass

from torch import Tensor

from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.representations.base import Linear
from sevenfold.diffreps.solvers.cg import ConjugateGradient


@dataclass(frozen=True)
class Linearized(Rendering):
    """A rendering whose products with the Jacobian are those at one fixed place."""

    linear: Linear

    def jvp(self, theta: Tensor, direction: Tensor) -> Tensor:
        """Return J d (B, n)."""
        return self.linear.push(direction)

    def vjp(self, theta: Tensor, covector: Tensor) -> Tensor:
        """Return J^T r (B, p)."""
        return self.linear.pull(covector)


class DenseConjugateGradient(ConjugateGradient):
    """The same iterations as ``cg``, with the same result, but the Jacobian is computed once for a solve.

    Faster than ``cg`` where Jacobians are cheap and small; coarse voxel fields store theirs in factors. Few
    iterations regularize: they leave directions unchanged that the views hardly determine.

    Args:
        gn_iters: Gauss-Newton iterations of a solve.
        damping: mu relative to the mean diagonal of J^T J or J J^T.
        tol: relative residual of the linear system at which iterations end.
        max_iter: iterations at most.
    """

    def direction(
        self, rendering: Rendering, theta: Tensor, residual: Tensor, damping: Tensor
    ) -> tuple[Tensor, int]:
        """Return d."""
        # J is fixed during the inner iterations, which need J p and J^T r alone   (Hestenes & Stiefel 1952)
        linear = rendering.representation.linear(theta, rendering.views)
        near = Linearized(rendering.representation, rendering.views, linear)
        return super().direction(near, theta, residual, damping)
