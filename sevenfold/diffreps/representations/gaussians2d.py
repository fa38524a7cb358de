"""An image as anisotropic Gaussians in the plane (as Kerbl et al. 2023 in space)."""

import math
from typing import Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.representations import layers
from sevenfold.diffreps.representations.base import CoordinateRepresentation, Layout, Weights, pixel_centers
from sevenfold.ranges import Finite, Size


class Gaussians2D(CoordinateRepresentation):
    """``count`` Gaussians with mean, log-scales, angle, color and opacity each.

    Args:
        size, channels: of the image.
        count: number of Gaussians.
        blend: ``normalized`` divides by the sum of opacities, ``over`` composites the Gaussians front to
            back, the first in front, on the middle of the range.
        low, high: lowest and highest value of colors.
    """

    centers: Tensor

    def __init__(
        self,
        *,
        size: Size = 16,
        channels: Size = 1,
        count: Size = 40,
        blend: Literal["normalized", "over"] = "normalized",
        low: Finite = -1.2,
        high: Finite = 1.2,
    ) -> None:
        if low >= high:
            raise ConfigError("low", f"needs low < high, got {low:g} and {high:g}")
        parts = {"mean": 2, "scale": 2, "angle": 1, "color": channels, "opacity": 1}
        super().__init__((channels, size, size), Layout({name: (count, k) for name, k in parts.items()}))
        self.count, self.blend = count, blend
        self.range = self.bounds = (low, high)
        self.register_buffer("centers", pixel_centers(size, size))

    def initial(self, generator: torch.Generator) -> Tensor:
        """Draw means over the image, scales for them to overlap, colors near the middle."""
        shapes, near = self.layout.shapes, math.log(1.5 / math.sqrt(self.count))
        weights = {
            "mean": layers.uniform(shapes["mean"], 1.0, generator),
            "scale": near + layers.uniform(shapes["scale"], 0.2, generator),
            "angle": layers.uniform(shapes["angle"], math.pi / 2, generator),
            "color": layers.uniform(shapes["color"], 0.3, generator),
            "opacity": layers.uniform(shapes["opacity"], 0.5, generator),
        }
        return self.layout.join(weights)

    def coordinates(self, view: Tensor) -> Tensor:
        """Return the pixel centers."""
        return self.centers

    def values(self, weights: Weights, coordinates: Tensor) -> Tensor:
        """Return the blended colors."""
        cos, sin = weights["angle"].cos(), weights["angle"].sin()  # (count, 1)
        x, y = (coordinates[:, None] - weights["mean"]).unbind(2)  # (N, count)
        # alpha_i(x) = o_i exp(-(x - m_i)^T S_i^-1 (x - m_i) / 2), S_i = R(angle) diag(scale^2) R(angle)^T
        along = (x * cos[:, 0] + y * sin[:, 0]) * torch.exp(-weights["scale"][:, 0])
        across = (y * cos[:, 0] - x * sin[:, 0]) * torch.exp(-weights["scale"][:, 1])
        alpha = torch.sigmoid(weights["opacity"][:, 0]) * torch.exp(-(along**2 + across**2) / 2)
        color = torch.sigmoid(weights["color"])
        if self.blend == "normalized":
            share = alpha / (alpha.sum(1, keepdim=True) + 1e-4)
            left = 1 - share.sum(1, keepdim=True)
        else:
            # C = sum_i c_i alpha_i prod_{j < i} (1 - alpha_j)   (Porter & Duff 1984; Kerbl et al. 2023)
            clear = torch.log1p(-0.999 * alpha)
            total = clear.cumsum(1)
            share = 0.999 * alpha * torch.exp(total - clear)
            left = torch.exp(total[:, -1:])
        low, high = self.bounds
        return low + (high - low) * (share @ color + 0.5 * left)
