"""A point on a curve in the plane, with one parameter: the smallest nonlinear representation."""

import torch
from torch import Tensor

from sevenfold.diffreps.representations.base import Layout, Representation
from sevenfold.ranges import Finite, NonNegative


class Curve(Representation):
    """The sine wave (t, height sin(frequency t)) as an "image" of two channels and one pixel.

    Args:
        height, frequency: of the wave; height 0 is a straight line.
        start: standard deviation of the initial parameter.
    """

    def __init__(self, *, height: Finite = 0.6, frequency: Finite = 1.2, start: NonNegative = 0.0) -> None:
        super().__init__((2, 1, 1), Layout({"t": (1,)}))
        self.height, self.frequency, self.start = height, frequency, start

    def initial(self, generator: torch.Generator) -> Tensor:
        """Draw t."""
        return self.start * torch.randn(1, generator=generator)

    def render(self, params: Tensor, view: Tensor) -> Tensor:
        """Return the point."""
        # The prior restricted to the curve has the law p(f(t)) |f'(t)| dt, up to a constant: the density p
        # with respect to arc length (area formula, Federer 1969).
        return torch.stack([params, self.height * torch.sin(self.frequency * params)]).reshape(self.shape)
