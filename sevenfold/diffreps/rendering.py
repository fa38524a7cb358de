"""The map from parameters to their images in some views, for all samples at once, with its derivatives."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from sevenfold.diffreps.representations.base import Representation


@dataclass(frozen=True)
class Rendering:
    """The map f from parameters (B, p) to the values (B, n) of V ``views`` (V, d), n = V C H W."""

    representation: Representation
    views: Tensor

    def __call__(self, theta: Tensor) -> Tensor:
        """Return the values (B, n)."""
        return self.representation.rendered(theta, self.views).flatten(1)

    def images(self, values: Tensor) -> Tensor:
        """Return values (B, n) as images (B, V, C, H, W)."""
        return values.view(-1, len(self.views), *self.representation.shape)

    def jacobian(self, theta: Tensor) -> Tensor:
        """Return (B, n, p)."""
        return self.representation.jacobian(theta, self.views)

    def gram(self, theta: Tensor) -> Tensor | None:
        """Return J J^T (B, n, n), or None where no formula without J is known."""
        return self.representation.gram(theta, self.views)

    def jvp(self, theta: Tensor, direction: Tensor) -> Tensor:
        """Return J d (B, n) for d (B, p)."""
        with warnings.catch_warnings():  # torch warns on its first use of forward mode
            warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=FutureWarning)
            return torch.func.jvp(self, (theta,), (direction,))[1]

    def vjp(self, theta: Tensor, covector: Tensor) -> Tensor:
        """Return J^T r (B, p) for r (B, n)."""
        return torch.func.vjp(self, theta)[1](covector)[0]
