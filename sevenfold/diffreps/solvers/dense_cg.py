"""Conjugate gradients with the explicit Jacobian."""

from dataclasses import dataclass

from torch import Tensor

from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.solvers.cg import ConjugateGradient


@dataclass(frozen=True)
class Linearized(Rendering):
    """A rendering near one place: products with its ``matrix`` (B, n, p), wherever they are asked for."""

    matrix: Tensor

    def jvp(self, theta: Tensor, direction: Tensor) -> Tensor:
        """Return J d (B, n)."""
        return (self.matrix @ direction[..., None])[..., 0]

    def vjp(self, theta: Tensor, covector: Tensor) -> Tensor:
        """Return J^T r (B, p)."""
        return (covector[:, None] @ self.matrix)[:, 0]


class DenseConjugateGradient(ConjugateGradient):
    """The same iterations as ``cg``, and the same result, with the Jacobian formed once a solve.

    Faster than ``cg`` where Jacobians are cheap and small, as for coarse volumes. Few iterations regularize:
    they leave out what the views hardly determine.
    """

    def direction(
        self, rendering: Rendering, theta: Tensor, residual: Tensor, damping: Tensor
    ) -> tuple[Tensor, int]:
        """Return d."""
        matrix = rendering.jacobian(theta)
        near = Linearized(rendering.representation, rendering.views, matrix)
        return super().direction(near, theta, residual, damping)
