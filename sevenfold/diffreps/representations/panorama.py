"""Panoramas: a function on the sphere with pinhole cameras, and a wide canvas with sliding crops."""

import math
from typing import Annotated

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.representations.base import Layout, Representation, pixel_centers
from sevenfold.diffreps.representations.siren import SineNetwork, SineRepresentation
from sevenfold.ranges import Count, Depth, Range, Scale, Size

GOLDEN = (math.sqrt(5) - 1) / 2

Elevation = Annotated[float, Range(-90, 90, note="an angle in degrees")]


class Panorama(SineRepresentation):
    """A sine network of the unit direction; a view is a camera (azimuth, elevation) in radians.

    Args:
        size, channels: of a view.
        width, hidden, w0: of the network.
        field: width of a view in degrees.
        elevations: lowest and highest elevation of the pool's cameras, in degrees.
        rows: of the sphere's cells that noise can be anchored to; twice as many columns.
    """

    centers: Tensor

    def __init__(
        self,
        *,
        size: Size = 16,
        channels: Size = 1,
        width: Size = 64,
        hidden: Depth = 2,
        w0: Scale = 10.0,
        field: Annotated[float, Range(0, 180, open=True)] = 60.0,
        elevations: tuple[Elevation, Elevation] = (-30.0, 30.0),
        rows: Count = 128,
    ) -> None:
        if elevations[0] > elevations[1]:
            raise ConfigError("elevations", f"must be (lowest, highest), got {list(elevations)}")
        network = SineNetwork(inputs=3, width=width, hidden=hidden, w0=w0, outputs=channels)
        super().__init__(network, (channels, size, size))
        self.rows, self.cells = rows, 2 * rows * rows
        self.tangent, self.elevations = math.tan(math.radians(field) / 2), elevations
        self.register_buffer("centers", pixel_centers(size, size))

    def views(self, count: int, generator: torch.Generator) -> Tensor:
        """Return cameras all around, their elevations spread over the range."""
        turn = torch.arange(count, dtype=torch.float64) / count
        low, high = (math.radians(degrees) for degrees in self.elevations)
        share = (0.5 + GOLDEN * torch.arange(count, dtype=torch.float64)) % 1
        return torch.stack([2 * math.pi * turn, low + (high - low) * share], 1)

    def coordinates(self, view: Tensor) -> Tensor:
        """Return the unit directions (H W, 3) of a camera's pixels; z is up, rows go down."""
        right, up = self.tangent * self.centers[:, 0], -self.tangent * self.centers[:, 1]
        azimuth, elevation = view[0], view[1]
        forward = elevation.cos() - up * elevation.sin()
        height = elevation.sin() + up * elevation.cos()
        x = forward * azimuth.cos() + right * azimuth.sin()
        y = forward * azimuth.sin() - right * azimuth.cos()
        direction = torch.stack([x, y, height], 1)
        return direction / direction.norm(dim=1, keepdim=True)

    def anchors(self, view: Tensor) -> Tensor:
        """Return the nearest cells of the sphere."""
        # Interpolation of white noise would lower its variance; a lookup of the nearest cell does not.
        x, y, z = self.coordinates(view).unbind(1)
        row = ((0.5 - torch.asin(z.clamp(-1, 1)) / math.pi) * self.rows).long().clamp(0, self.rows - 1)
        columns = 2 * self.rows
        column = ((torch.atan2(y, x) / (2 * math.pi) % 1) * columns).long().clamp(0, columns - 1)
        return (row * columns + column).reshape(self.shape[1:])

    def angles(self, views: Tensor) -> Tensor:
        """Return the angles (K, K) between cameras, in degrees."""
        azimuth, elevation = views.double().unbind(1)
        level = elevation.cos()
        axes = torch.stack([level * azimuth.cos(), level * azimuth.sin(), elevation.sin()], 1)
        return torch.rad2deg(torch.acos((axes @ axes.T).clamp(-1, 1)))

    def picture(self, params: Tensor) -> Tensor:
        """Return the whole sphere, equirectangular, three views high."""
        height = 3 * self.shape[1]
        x, y = pixel_centers(height, 2 * height).to(params).unbind(1)
        azimuth, elevation = -math.pi * x, -math.pi / 2 * y
        level = elevation.cos()
        directions = torch.stack([level * azimuth.cos(), level * azimuth.sin(), elevation.sin()], 1)
        values = self.values(self.layout.split(params), directions)
        return values.T.reshape(self.shape[0], height, 2 * height)


class WideCanvas(Representation):
    """A canvas wider than the prior's images; a view is a crop (top, left) in whole pixels.

    With noise anchored to the canvas and the solver ``linear`` this is the rule of MultiDiffusion (Bar-Tal et
    al. 2023): crops are denoised separately, and averaged where they overlap.

    Args:
        size, channels: of a crop.
        length: of the canvas.
        wrap: whether crops beyond the right edge continue at the left one.
    """

    affine = True

    def __init__(self, *, size: Size = 16, channels: Size = 1, length: Size = 64, wrap: bool = False) -> None:
        if length < size:
            raise ConfigError("length", f"a canvas of {length} is shorter than a crop of {size}")
        super().__init__((channels, size, size), Layout({"canvas": (channels, size, length)}))
        self.length, self.wrap, self.cells = length, wrap, size * length

    def initial(self, generator: torch.Generator) -> Tensor:
        """Return zeros."""
        return torch.zeros(self.layout.size)

    def views(self, count: int, generator: torch.Generator) -> Tensor:
        """Return crops that cover the canvas evenly."""
        size = self.shape[1]
        if count * size < self.length:
            raise ConfigError("views", f"{count} crops of {size} do not cover a canvas of {self.length}")
        if self.wrap:
            left = (torch.arange(count) * self.length / count).round()
        else:
            left = torch.linspace(0, self.length - size, count).round()
        return torch.stack([torch.zeros(count), left], 1)

    def anchors(self, view: Tensor) -> Tensor:
        """Return the numbers of the canvas' pixels."""
        size = self.shape[1]
        rows, columns = (torch.arange(size, device=view.device) + start for start in view.long())
        return rows[:, None] * self.length + columns % self.length

    def render(self, params: Tensor, view: Tensor) -> Tensor:
        """Return the crop."""
        # argmin over the canvas of sum_v |crop_v(canvas) - y_v|^2 = mean over the crops that contain a pixel
        # (Bar-Tal et al. 2023)
        canvas = params.view(self.shape[0], self.cells)
        return canvas[:, self.anchors(view).flatten()].reshape(self.shape)

    def picture(self, params: Tensor) -> Tensor:
        """Return the whole canvas."""
        return params.view(self.layout.shapes["canvas"])
