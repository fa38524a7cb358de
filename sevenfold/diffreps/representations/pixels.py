"""The identity representation, whose parameters are the image."""

import math

import torch
from torch import Tensor

from sevenfold.diffreps.representations.base import Layout, Representation
from sevenfold.ranges import Size


class Pixels(Representation):
    """The representation whose parameters are pixels: the pullback is then an image sampler.

    Parameters (N, channels * size * size) are images (N, channels, size, size).

    Args:
        size, channels: of the image.

    Example:
        >>> Pixels(size=8).layout.size
        64
    """

    affine = True

    def __init__(self, *, size: Size = 16, channels: Size = 1) -> None:
        super().__init__((channels, size, size), Layout({"image": (channels, size, size)}))
        self.cells = size * size

    def initial(self, generator: torch.Generator) -> Tensor:
        """Return zeros."""
        return torch.zeros(self.layout.size)

    def render(self, params: Tensor, view: Tensor) -> Tensor:
        """Return the parameters as an image."""
        # J = I, so that the pullback's Euler step is DDIM   (Song, Meng & Ermon 2021)
        return params.view(self.shape)

    def anchors(self, view: Tensor) -> Tensor:
        """Return the numbers of the pixels."""
        return torch.arange(math.prod(self.shape[1:]), device=view.device).view(self.shape[1:])
