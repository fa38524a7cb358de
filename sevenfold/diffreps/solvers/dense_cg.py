"""Conjugate gradients with an explicit or factored Jacobian."""

from dataclasses import dataclass, field

from torch import Tensor

from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.representations.base import Linear
from sevenfold.diffreps.solvers.cg import ConjugateGradient

ENTRIES = 2**30
"""Of all samples' Jacobians together: 4 GiB in float32."""


@dataclass(frozen=True)
class Linearized(Rendering):
    """A rendering whose products with the Jacobian are those at one fixed place."""

    linear: Linear = field(kw_only=True)

    def jvp(self, theta: Tensor, direction: Tensor) -> Tensor:
        """Return J d (B, n)."""
        pushed = self.linear.push(direction)
        return pushed if self.roots is None else pushed * self.roots

    def vjp(self, theta: Tensor, covector: Tensor) -> Tensor:
        """Return J^T r (B, p)."""
        return self.linear.pull(covector if self.roots is None else covector * self.roots)


class DenseConjugateGradient(ConjugateGradient):
    """The same iterations as ``cg``, with the same result, but the Jacobian is computed once for a solve.

    Faster than ``cg`` where Jacobians are cheap; voxel fields store theirs in factors. Where all others
    together would have more than 2^30 entries, products are computed by differentiation, as ``cg`` does. Few
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
        if not rendering.representation.factored and theta.numel() * residual.shape[1] > ENTRIES:
            return super().direction(rendering, theta, residual, damping)
        # J is fixed during the inner iterations, which need J p and J^T r alone   (Hestenes & Stiefel 1952)
        linear = rendering.representation.linear(theta, rendering.views)
        near = Linearized(rendering.representation, rendering.views, rendering.roots, linear=linear)
        return super().direction(near, theta, residual, damping)
