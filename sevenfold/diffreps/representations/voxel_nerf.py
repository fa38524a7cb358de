"""A radiance field on a grid (Sun et al. 2022; SJC's of Wang et al. 2022), in plain PyTorch."""

from typing import Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.representations.volume import Background, Nerf
from sevenfold.diffreps.worlds.cameras import Camera
from sevenfold.diffreps.worlds.march import DENSE_LIMIT, absorption, hats, interpolate


class VoxelNerf(Nerf):
    """Density and colours on a grid of ``resolution`` nodes a side, trilinear between.

    Args:
        size, channels: of a view.
        camera, samples: how it is seen.
        resolution: nodes a side; no more than the views can determine.
        colours, background, scale, shift, chunk: as for :class:`Nerf`.
        spread: deviation of the raw values at the start.
    """

    def __init__(
        self,
        *,
        size: int = 12,
        channels: int = 3,
        camera: Camera = Camera(),
        samples: int = 14,
        resolution: int = 6,
        colours: Literal["sigmoid", "linear"] = "sigmoid",
        background: Background = "white",
        scale: float = 6.0,
        shift: float = 1.5,
        spread: float = 0.1,
        chunk: int = 1024,
    ) -> None:
        if resolution < 2 or spread < 0:
            raise ConfigError("resolution", f"needs >= 2, and spread >= 0, got {resolution}, {spread:g}")
        side = (resolution,) * 3
        super().__init__(
            (channels, size, size), {"density": side, "colour": (*side, channels)}, camera=camera,
            samples=samples, colours=colours, background=background, scale=scale, shift=shift, chunk=chunk,
        )  # fmt: skip
        self.resolution, self.spread = resolution, spread

    def initial(self, generator: torch.Generator) -> Tensor:
        """Draw raw values about zero."""
        return self.spread * torch.randn(self.layout.size, generator=generator)

    def raw(self, params: Tensor, points: Tensor) -> Tensor:
        """Return the grid's values."""
        own = self.layout.split(params)
        return interpolate(torch.cat([own["density"][..., None], own["colour"]], -1), points)

    def jacobian(self, params: Tensor, views: Tensor) -> Tensor:
        """Return the Jacobian ray by ray, in closed form for coarse grids before a plain background."""
        if self.resolution > DENSE_LIMIT or self.background not in ("white", "black"):
            return super().jacobian(params, views)
        return torch.cat([self._jacobian(params, view) for view in views], 1)

    def _jacobian(self, params: Tensor, view: Tensor) -> Tensor:
        """Return (B, C R, p) of one view with R rays."""
        points, step = self.camera.points(view, self.shape[1], self.samples)
        nodes, (count, channels) = self.resolution**3, (len(params), self.shape[0])
        weights = hats(points.flatten(0, 1), self.resolution)  # (R S, G^3)
        rays = weights.view(len(points), -1, nodes)
        raw = (params[:, :nodes] @ weights.T).view(count, *rays.shape[:2]) - self.shift  # (B, R, S)
        hue = (weights @ params[:, nodes:].view(count, nodes, channels)).view(*raw.shape, channels)
        colour = self.shown(hue)
        inside = (points.abs() <= 1).all(2)
        density = self.scale * torch.nn.functional.softplus(raw) * inside
        light = absorption(density, step)
        seen = light[..., None] * colour
        left = torch.exp(-step * density.cumsum(2))[..., None]  # light that passes sample k
        behind = seen.sum(2, keepdim=True) - seen.cumsum(2) + left[:, :, -1:] * self.behind(params)
        dense = (left * colour - behind) * (self.scale * step * raw.sigmoid())[..., None]
        tint = light[..., None] * (colour * (1 - colour) if self.colours == "sigmoid" else 1)
        found = params.new_zeros(count, channels, len(points), self.layout.size)
        found[..., :nodes] = torch.einsum("brsc,rsg->bcrg", dense, rays)
        by_colour = torch.einsum("brsc,rsg->bcrg", tint.expand_as(hue), rays)
        for c in range(channels):
            found[:, c, :, nodes + c :: channels] = by_colour[:, c]
        return found.flatten(1, 2)
