"""Cameras around the origin: the rays of a view, rings of views, and angles between views.

A view is (azimuth, elevation) in radians; z is up, image rows go down.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.representations.base import pixel_centers
from sevenfold.ranges import Range, Scale


@dataclass(frozen=True)
class Camera:
    """The cameras of a world; the scene fills the cube [-1, 1]^3.

    Args:
        elevation: of the ring, in degrees.
        field: width of a view in degrees; 0: parallel rays.
        radius: distance of a camera from the origin.
        extent: half the width of an image of parallel rays.
        depth: rays run from -depth to depth around the plane through the origin.
    """

    elevation: Annotated[float, Range(-90, 90, open=True, note="an angle in degrees")] = 25.0
    field: Annotated[
        float,
        Range(0, 180, open="high", note="0 is an orthographic camera"),
    ] = 0.0
    radius: Scale = 3.0
    extent: Scale = 1.1
    depth: Scale = 1.25

    def __post_init__(self) -> None:
        if self.field and self.radius <= self.depth:
            raise ConfigError("depth", f"must be below radius ({self.radius:g}), got {self.depth:g}")

    def ring(self, count: int, offset: float = 0.0) -> Tensor:
        """Return ``count`` views (count, 2) evenly around, the first at azimuth ``offset`` degrees."""
        azimuth = math.radians(offset) + 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
        return torch.stack([azimuth, torch.full_like(azimuth, math.radians(self.elevation))], 1).float()

    def rays(self, view: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Return the rays of a view's pixels: points on the plane through the origin, and unit directions.

        Both are (H W, 3), row by row.
        """
        center = pixel_centers(size, size).to(view)
        right, up, back = axes(view)
        half = self.radius * math.tan(math.radians(self.field) / 2) if self.field else self.extent
        middle = half * (center[:, :1] * right - center[:, 1:] * up)
        # perspective rays start at the camera; parallel ones share the direction of view
        toward = middle - self.radius * back if self.field else (-back).expand_as(middle)
        return middle, toward / toward.norm(dim=1, keepdim=True)

    def distances(self, samples: int) -> Tensor:
        """Return the distances (samples,) of a ray's samples from the near plane, front first."""
        return self.depth * (2 * torch.arange(samples) + 1) / samples

    def points(self, view: Tensor, size: int, samples: int) -> tuple[Tensor, Tensor]:
        """Return points (H W, samples, 3) on a view's rays, front first, and their spacing (H W, 1)."""
        middle, direction = self.rays(view, size)
        # samples lie on planes parallel to the image, so that their spacing is constant along a ray
        t = (self.distances(samples) - self.depth).to(view)
        slant = 1 / -(direction @ axes(view)[2])  # rays run between two planes
        points = middle[:, None] + (t[:, None] * slant[:, None, None]) * direction[:, None]
        return points, (2 * self.depth / samples * slant)[:, None]


def axes(view: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the unit vectors right, up and back (towards the camera) of a view (2,)."""
    azimuth, elevation = view[0], view[1]
    zero = torch.zeros_like(azimuth)
    right = torch.stack([-azimuth.sin(), azimuth.cos(), zero])
    level = elevation.cos()
    back = torch.stack([level * azimuth.cos(), level * azimuth.sin(), elevation.sin()])
    return right, torch.linalg.cross(back, right), back


def angles_between(views: Tensor) -> Tensor:
    """Return the angles (K, K) between views (K, 2), in degrees."""
    back = torch.stack([axes(view)[2] for view in views.double()])
    return torch.rad2deg(torch.acos((back @ back.T).clamp(-1, 1)))
