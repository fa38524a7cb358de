"""Outlines of a synthetic scene's layers: stars with three harmonics and convex pentagons."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Star:
    """The points within r(angle) = radius (1 + Re sum_k c_k exp(i k angle)), k = 2, 3, 5, of the center."""

    radius: float
    harmonics: tuple[complex, complex, complex]

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Return how far points lie outside, in pixels and roughly (negative inside)."""
        rho = torch.sqrt(x * x + y * y).clamp(min=1e-3)
        c, s = x / rho, y / rho
        c2, s2 = c * c - s * s, 2 * c * s  # powers of exp(i angle), cheaper than angles and cosines
        c3, s3 = c * c2 - s * s2, c * s2 + s * c2
        c5, s5 = c2 * c3 - s2 * s3, c2 * s3 + s2 * c3
        a, b, d = self.harmonics
        bulge = a.real * c2 - a.imag * s2 + (b.real * c3 - b.imag * s3) + (d.real * c5 - d.imag * s5)
        return rho - self.radius * (1 + bulge)


@dataclass(frozen=True)
class Pentagon:
    """The points on the inner side of five lines: ``normals`` (5, 2) and their ``offsets`` (5,) from the
    center.
    """

    normals: tuple[tuple[float, float], ...]
    offsets: tuple[float, ...]

    def distance(self, x: Tensor, y: Tensor) -> Tensor:
        """Return how far points lie outside, in pixels (negative inside)."""
        sides = [nx * x + (ny * y - d) for (nx, ny), d in zip(self.normals, self.offsets, strict=True)]
        return torch.stack(sides).amax(dim=0)


def draw_shape(radius: float, random: np.random.Generator) -> Star | Pentagon:
    """Draw a star or a pentagon of about this radius in pixels."""
    if random.random() < 0.5:
        return draw_star(radius, random)
    angles = 2 * np.pi * (np.arange(5) + random.uniform(-0.25, 0.25, 5)) / 5 + random.uniform(0, 2 * np.pi)
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Pentagon(
        tuple((float(nx), float(ny)) for nx, ny in normals),
        tuple((radius * random.uniform(0.6, 1.0, 5)).tolist()),
    )


def draw_star(radius: float, random: np.random.Generator) -> Star:
    """Draw a star of this mean radius in pixels."""
    size = random.uniform(0, [0.35, 0.25, 0.15])
    angle = random.uniform(0, 2 * np.pi, 3)
    a, b, d = (size * np.exp(1j * angle)).tolist()
    return Star(radius, (a, b, d))
