"""Images with a symmetry by construction, and images with several meanings under rotation."""

import math
from typing import Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError, build
from sevenfold.diffreps import REPRESENTATIONS
from sevenfold.diffreps.nodes import RepresentationNode
from sevenfold.diffreps.representations.base import CoordinateRepresentation, Representation, Weights
from sevenfold.ranges import Finite

SIREN = {"name": "siren"}
Group = Literal["mirror", "rotate2", "rotate3", "rotate4", "rotate6"]


class CoordinateWrapper(CoordinateRepresentation):
    """A representation with the parameters of another one, evaluated at transformed coordinates."""

    def __init__(self, inner: RepresentationNode) -> None:
        representation: Representation = build(REPRESENTATIONS, inner, "inner")
        if not isinstance(representation, CoordinateRepresentation) or not hasattr(representation, "centers"):
            raise ConfigError(
                "inner", f"needs a function of coordinates in the plane, such as siren; got {inner['name']}"
            )
        super().__init__(representation.shape, representation.layout)
        self.inner, self.range = representation, representation.range

    def initial(self, generator: torch.Generator) -> Tensor:
        """Draw the inner parameters."""
        return self.inner.initial(generator)

    def coordinates(self, view: Tensor) -> Tensor:
        """Return the inner coordinates."""
        return self.inner.coordinates(view)

    def values(self, weights: Weights, coordinates: Tensor) -> Tensor:
        """Return the inner values."""
        return self.inner.values(weights, coordinates)


class Symmetric(CoordinateWrapper):
    """The mean of a representation over a group acting on its coordinates.

    Args:
        inner: a representation of coordinates in the plane, with its options.
        group: ``mirror`` (left and right), or rotations by 180, 120, 90, 60 degrees.
    """

    def __init__(self, *, inner: RepresentationNode = SIREN, group: Group = "rotate4") -> None:
        super().__init__(inner)
        self.affine = self.inner.affine
        self.group = group

    def values(self, weights: Weights, coordinates: Tensor) -> Tensor:
        """Return the mean over the group."""
        # f_G(x) = 1/|G| sum_{g in G} f(g x) is invariant under G   (symmetrization, Yarotsky 2022)
        exact = elements(self.group).to(coordinates)  # not rounded to float32 first
        return torch.stack([self.inner.values(weights, coordinates @ g.T) for g in exact]).mean(0)


class Turned(CoordinateWrapper):
    """One image under rotation by several angles, for illusions that show a different picture at each angle.

    A view is an angle in radians (1,). Such illusions: Geng, Park & Owens 2024.

    Args:
        inner: a representation of coordinates in the plane, with its options.
        degrees: the angles.
    """

    def __init__(self, *, inner: RepresentationNode = SIREN, degrees: list[Finite] = [0.0, 180.0]) -> None:  # noqa: B006
        super().__init__(inner)
        if not degrees:
            raise ConfigError("degrees", "needs at least one angle")
        self.affine, self.degrees = self.inner.affine, degrees

    def kernel(self, weights: Weights, coordinates: Tensor) -> Tensor | None:
        """Return the inner tangent kernel."""
        return self.inner.kernel(weights, coordinates)

    def views(self, count: int, generator: torch.Generator) -> Tensor:
        """Return all angles, for any ``count``."""
        return torch.tensor(self.degrees, dtype=torch.float64)[:, None] * math.pi / 180

    def coordinates(self, view: Tensor) -> Tensor:
        """Return rotated pixel centers."""
        cos, sin = view.cos(), view.sin()
        x, y = self.inner.coordinates(view[:0]).unbind(1)
        return torch.stack([cos * x - sin * y, sin * x + cos * y], 1)


def elements(group: Group) -> Tensor:
    """Return the group's matrices (G, 2, 2) in float64."""
    if group == "mirror":
        return torch.stack([torch.eye(2), torch.diag(torch.tensor([-1.0, 1.0]))]).double()
    order = int(group.removeprefix("rotate"))
    angle = 2 * math.pi * torch.arange(order, dtype=torch.float64) / order
    return torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).reshape(-1, 2, 2)
