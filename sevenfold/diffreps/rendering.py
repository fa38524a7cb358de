"""The map from parameters to their images in some views, for all samples at once, with its derivatives."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from sevenfold.diffreps.representations.base import Representation


@dataclass(frozen=True)
class Rendering:
    """The map f from parameters (B, p) to the values (B, n) of V ``views`` (V, d), n = V C H W.

    With ``roots`` (n,), the roots of weights, values and derivatives are multiplied by them: least squares of
    these values are weighted least squares of the images.
    """

    representation: Representation
    views: Tensor
    roots: Tensor | None = None

    def __call__(self, theta: Tensor) -> Tensor:
        """Return the values (B, n)."""
        return self.values(self.representation.rendered(theta, self.views))

    def values(self, images: Tensor) -> Tensor:
        """Return images (B, V, C, H, W) as values (B, n)."""
        # sum_i w_i (f_i - y_i)^2 = |sqrt(w) f - sqrt(w) y|^2   (Aitken 1936)
        return images.flatten(1) if self.roots is None else images.flatten(1) * self.roots

    def images(self, values: Tensor) -> Tensor:
        """Return values (B, n) as images (B, V, C, H, W)."""
        plain = values if self.roots is None else values / self.roots
        return plain.view(-1, len(self.views), *self.representation.shape)

    def jacobian(self, theta: Tensor) -> Tensor:
        """Return (B, n, p)."""
        jacobian = self.representation.jacobian(theta, self.views)
        return jacobian if self.roots is None else jacobian * self.roots[:, None]

    def gram(self, theta: Tensor) -> Tensor | None:
        """Return J J^T (B, n, n), or None where no formula without J is known."""
        gram = self.representation.gram(theta, self.views)
        return gram if gram is None or self.roots is None else gram * self.roots * self.roots[:, None]

    def jvp(self, theta: Tensor, direction: Tensor) -> Tensor:
        """Return J d (B, n) for d (B, p)."""
        with warnings.catch_warnings():  # torch warns on its first use of forward mode
            warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)
            return torch.func.jvp(self, (theta,), (direction,))[1]

    def vjp(self, theta: Tensor, covector: Tensor) -> Tensor:
        """Return J^T r (B, p) for r (B, n)."""
        return torch.func.vjp(self, theta)[1](covector)[0]
