"""Random Fourier features of coordinates (Tancik et al. 2020), with a network or linear weights on them."""

import math

import torch
from torch import Tensor

from sevenfold.diffreps.representations import layers
from sevenfold.diffreps.representations.base import CoordinateRepresentation, Layout, Weights, pixel_centers
from sevenfold.ranges import Depth, Scale, Size


class FourierFeatures(CoordinateRepresentation):
    """The common part of both kinds: features cos and sin of 2 pi B x, B Gaussian of deviation ``scale``."""

    centers: Tensor
    frequencies: Tensor

    def __init__(self, size: int, channels: int, features: int, scale: float, layout: Layout) -> None:
        super().__init__((channels, size, size), layout)
        self.register_buffer("centers", pixel_centers(size, size))
        # Frequencies are constants of the representation, equal in every run, not parameters.
        directions = torch.randn(features, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.register_buffer("frequencies", 2 * math.pi * scale * directions)

    def coordinates(self, view: Tensor) -> Tensor:
        """Return the pixel centers."""
        return self.centers

    def features(self, coordinates: Tensor) -> Tensor:
        """Return the features (N, 2 features)."""
        # gamma(x) = [cos(2 pi B x), sin(2 pi B x)], B_ij ~ N(0, scale^2)   (Tancik et al. 2020)
        phase = coordinates @ self.frequencies.T
        return torch.cat([phase.cos(), phase.sin()], 1)


class Fourier(FourierFeatures):
    """An image as a rectified network of Fourier features.

    Args:
        size, channels: of the image.
        features, scale: number of frequencies and their spread.
        width, hidden: of the network.
    """

    def __init__(
        self,
        *,
        size: Size = 16,
        channels: Size = 1,
        features: Size = 32,
        scale: Scale = 0.5,
        width: Size = 32,
        hidden: Depth = 1,
    ) -> None:
        layout = Layout(layers.shapes(2 * features, width, hidden, channels))
        super().__init__(size, channels, features, scale, layout)
        self.hidden = hidden

    def initial(self, generator: torch.Generator) -> Tensor:
        """Draw a network."""
        return self.layout.join(layers.he_start(self.layout.shapes, generator))

    def values(self, weights: Weights, coordinates: Tensor) -> Tensor:
        """Return the network's output."""
        return layers.network(weights, self.features(coordinates), torch.relu, self.hidden)


class FourierLinear(FourierFeatures):
    """An image as a weighted sum of Fourier features: affine in its parameters.

    Args:
        size, channels: of the image.
        features, scale: number of frequencies and their spread.
    """

    affine = True

    def __init__(
        self, *, size: Size = 16, channels: Size = 1, features: Size = 64, scale: Scale = 0.5
    ) -> None:
        layout = Layout({"weight": (channels, 2 * features), "bias": (channels,)})
        super().__init__(size, channels, features, scale, layout)

    def initial(self, generator: torch.Generator) -> Tensor:
        """Return zeros."""
        return torch.zeros(self.layout.size)

    def values(self, weights: Weights, coordinates: Tensor) -> Tensor:
        """Return the sum."""
        return self.features(coordinates) @ weights["weight"].T + weights["bias"]
