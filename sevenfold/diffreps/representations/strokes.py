"""An image as a few strokes of a pen: cubic Bezier curves with soft edges."""

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.representations import layers
from sevenfold.diffreps.representations.base import CoordinateRepresentation, Layout, Weights, pixel_centers
from sevenfold.ranges import Finite, Positive, Size

PLACES = 16


class Strokes(CoordinateRepresentation):
    """``count`` strokes of four points, a width and an ink each, on an empty sheet.

    Args:
        size, channels: of the image; all channels have the same strokes, each its own ink.
        count: number of strokes.
        edge: width of a stroke's soft edge, in half sides of the image.
        low, high: values of the empty sheet and of full ink.

    Example:
        >>> Strokes(count=2).layout.size
        20
    """

    centers: Tensor
    powers: Tensor

    def __init__(
        self,
        *,
        size: Size = 16,
        channels: Size = 1,
        count: Size = 2,
        edge: Positive = 0.08,
        low: Finite = -1.0,
        high: Finite = 1.0,
    ) -> None:
        if low >= high:
            raise ConfigError("low", f"needs low < high, got {low:g} and {high:g}")
        parts = {"points": 8, "width": 1, "ink": channels}
        super().__init__((channels, size, size), Layout({name: (count, k) for name, k in parts.items()}))
        self.edge, self.bounds, self.range = edge, (low, high), (low, high)
        self.register_buffer("centers", pixel_centers(size, size))
        t = torch.linspace(0, 1, PLACES, dtype=torch.float64)
        # B(t) = (1-t)^3 P0 + 3 (1-t)^2 t P1 + 3 (1-t) t^2 P2 + t^3 P3   (Bezier; Farin 2002, section 4.1)
        powers = [(1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3]
        self.register_buffer("powers", torch.stack(powers, 1))

    def initial(self, generator: torch.Generator) -> Tensor:
        """Draw points over the middle of the sheet, widths near a tenth of it, ink near the middle."""
        shapes = self.layout.shapes
        weights = {
            "points": layers.uniform(shapes["points"], 0.7, generator),
            "width": -2.0 + layers.uniform(shapes["width"], 0.2, generator),
            "ink": layers.uniform(shapes["ink"], 0.5, generator),
        }
        return self.layout.join(weights)

    def coordinates(self, view: Tensor) -> Tensor:
        """Return the pixel centers."""
        return self.centers

    def values(self, weights: Weights, coordinates: Tensor) -> Tensor:
        """Return the sheet with all strokes; where strokes cross, ink adds up to full."""
        points = weights["points"].unflatten(1, (4, 2))
        places = torch.einsum("tk,skc->stc", self.powers, points)  # (count, PLACES, 2)
        start, along = places[:, :-1], places[:, 1:] - places[:, :-1]
        away = coordinates[:, None, None] - start
        # distance to a piece of the polygon through the curve's places
        share = (away * along).sum(-1) / (along.square().sum(-1) + 1e-9)
        offset = away - share.clamp(0, 1)[..., None] * along
        nearest = (offset.square().sum(-1) + 1e-6).sqrt().amin(2)  # (N, count)
        cover = torch.sigmoid((weights["width"][:, 0].exp() - nearest) / self.edge)
        ink = torch.sigmoid(weights["ink"])
        # over: the sheet shines through every stroke, prod_s (1 - ink_s cover_s)   (Porter & Duff 1984)
        left = (1 - cover[..., None] * ink).prod(1)
        low, high = self.bounds
        return low + (high - low) * (1 - left)
