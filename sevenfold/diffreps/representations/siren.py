"""Sine networks of coordinates (Sitzmann et al. 2020)."""

import math

import torch
from torch import Tensor

from sevenfold.diffreps.representations import layers
from sevenfold.diffreps.representations.base import CoordinateRepresentation, Layout, Weights, pixel_centers
from sevenfold.ranges import Depth, Scale, Size


class SineNetwork:
    """A network of ``hidden`` sine layers sin(w0 (W x + b)) of ``width`` units, and a linear head.

    Initial weights are U(-1/inputs, 1/inputs) in the first layer and U(-sqrt(6/inputs)/w0, +) in others,
    biases U(-1/sqrt(inputs), +).
    """

    def __init__(self, *, inputs: int, width: int, hidden: int, w0: float, outputs: int) -> None:
        self.hidden, self.w0 = hidden, w0
        self.layout = Layout(layers.shapes(inputs, width, hidden, outputs))

    def start(self, generator: torch.Generator) -> Tensor:
        """Draw parameters (p,)."""
        weights = {}
        for name, shape in self.layout.shapes.items():
            inputs = self.layout.shapes[name.replace("bias", "weight")][1]
            # U(-sqrt(6 / n) / w0, sqrt(6 / n) / w0): unit variance before each sine   (Sitzmann et al. 2020)
            rest = math.sqrt(6 / inputs) / self.w0
            bound = 1 / math.sqrt(inputs) if name[0] == "b" else 1 / inputs if name == "weight0" else rest
            weights[name] = layers.uniform(shape, bound, generator)
        return self.layout.join(weights)

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Return outputs (N, outputs) for inputs (N, inputs)."""
        return layers.network(weights, x, self._activation, self.hidden)

    def kernel(self, weights: Weights, x: Tensor) -> Tensor:
        """Return J J^T (outputs, N, outputs, N) without J."""
        return layers.tangent_kernel(weights, x, self._activation, self._slope, self.hidden)

    def _activation(self, x: Tensor) -> Tensor:
        return torch.sin(self.w0 * x)

    def _slope(self, x: Tensor) -> Tensor:
        # d sin(w0 x) / dx
        return self.w0 * torch.cos(self.w0 * x)


class SineRepresentation(CoordinateRepresentation):
    """The common part of representations by a sine network; subclasses define a view's coordinates."""

    def __init__(self, network: SineNetwork, shape: tuple[int, int, int]) -> None:
        super().__init__(shape, network.layout)
        self.network = network

    def initial(self, generator: torch.Generator) -> Tensor:
        """Draw a network."""
        return self.network.start(generator)

    def values(self, weights: Weights, coordinates: Tensor) -> Tensor:
        """Return the network's output."""
        return self.network(weights, coordinates)

    def kernel(self, weights: Weights, coordinates: Tensor) -> Tensor:
        """Return the network's tangent kernel."""
        return self.network.kernel(weights, coordinates)


class Siren(SineRepresentation):
    """An image as a sine network of its coordinates in [-1, 1]^2.

    Args:
        size, channels: of the image.
        width, hidden: units and sine layers.
        w0: frequency; 30 is the paper's, 10 suits images of 8 to 32 pixels.

    Example:
        >>> import torch
        >>> siren = Siren(size=8).float()
        >>> siren.render(siren.initial(torch.Generator().manual_seed(0)), torch.zeros(0)).shape
        torch.Size([1, 8, 8])
    """

    centers: Tensor

    def __init__(
        self, *, size: Size = 16, channels: Size = 1, width: Size = 32, hidden: Depth = 2, w0: Scale = 10.0
    ) -> None:
        network = SineNetwork(inputs=2, width=width, hidden=hidden, w0=w0, outputs=channels)
        super().__init__(network, (channels, size, size))
        self.register_buffer("centers", pixel_centers(size, size))

    def coordinates(self, view: Tensor) -> Tensor:
        """Return the pixel centers."""
        return self.centers
