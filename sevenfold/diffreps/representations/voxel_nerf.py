"""A radiance field on a grid (Sun et al. 2022; SJC's of Wang et al. 2022), in plain PyTorch."""

import math
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from sevenfold.diffreps.representations.base import Linear
from sevenfold.diffreps.representations.grid_rays import FineRays, Rays, ShadedRays
from sevenfold.diffreps.representations.volume import Background, Nerf
from sevenfold.diffreps.worlds.cameras import Camera
from sevenfold.diffreps.worlds.march import DENSE_LIMIT, absorption, corners, hats, interpolate
from sevenfold.ranges import AtLeastTwo, Count, Finite, NonNegative, Resolution, Scale, Size

ENTRIES = 2**21


class VoxelNerf(Nerf):
    """A radiance field on a grid of ``resolution`` nodes per side, interpolated trilinearly.

    Args:
        size, channels: of a view.
        camera, samples: cameras, and samples on each ray.
        resolution: nodes per side; no more than the views can determine.
        colours, background, scale, shift, chunk: as for :class:`Nerf`.
        spread: standard deviation of the initial raw values.
    """

    def __init__(
        self,
        *,
        size: Size = 12,
        channels: Size = 3,
        camera: Camera = Camera(),
        samples: AtLeastTwo = 14,
        resolution: Resolution = 6,
        colours: Literal["sigmoid", "linear"] = "sigmoid",
        background: Background = "white",
        scale: Scale = 6.0,
        shift: Finite = 1.5,
        spread: NonNegative = 0.1,
        chunk: Count = 1024,
    ) -> None:
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
        fields = self.layout.split(params)
        return interpolate(torch.cat([fields["density"][..., None], fields["colour"]], -1), points)

    def rendered(self, params: Tensor, views: Tensor) -> Tensor:
        """Return the images (B, V, C, H, W), one view at a time for all samples."""
        if not self.coarse:
            return super().rendered(params, views)
        images = [self._shading(params, view).image() for view in views]
        return torch.stack(images, 1).unflatten(3, self.shape[1:])

    def linear(self, params: Tensor, views: Tensor) -> Linear:
        """Return products with the Jacobian, stored in factors where the background is constant."""
        if not self.factored:
            return super().linear(params, views)
        each = [self._shading(params, view).linear() for view in views]
        images = (len(params), len(views), self.shape[0], -1)

        def push(d: Tensor) -> Tensor:
            grid = self._grid(d)
            return torch.stack([rays.push(grid) for rays in each], 1).flatten(1)

        def pull(r: Tensor) -> Tensor:
            parts = r.view(images).unbind(1)
            pulled = [rays.pull(part) for rays, part in zip(each, parts, strict=True)]
            return self._flat(torch.stack(pulled).sum(0))

        return Linear(push, pull)

    def jacobian(self, params: Tensor, views: Tensor) -> Tensor:
        """Return the Jacobian ray by ray, in closed form for coarse grids."""
        if not self.coarse:
            return super().jacobian(params, views)
        each = [self._shading(params, view).jacobian() for view in views]
        return self._flat(torch.stack(each, 1).flatten(1, 3))

    @property
    def factored(self) -> bool:
        """Return whether the background is constant, as closed forms need."""
        return self.background in ("white", "black")

    @property
    def coarse(self) -> bool:
        """Return whether closed forms of all derivatives apply: few rays and a coarse grid as well."""
        # size of the matrix of weights of all samples of a view
        entries = math.prod(self.shape[1:]) * self.samples * self.resolution**3
        return self.factored and self.resolution <= DENSE_LIMIT and entries <= ENTRIES

    def _shading(self, params: Tensor, view: Tensor) -> ShadedRays:
        """Return the light of grids along the rays of one view."""
        # Matrices of coarse grids are small and serve many calls.
        make = coarse_rays if self.coarse else fine_rays
        rays = make(
            self.camera, self.shape[1], self.samples, self.resolution, tuple(view.tolist()), params.dtype,
            params.device,
        )  # fmt: skip
        # Raw values are interpolated before the activation, as in Sun et al. 2022: surfaces may be sharp.
        raw = rays.values(self._grid(params))
        hidden, colour = raw[:, :1] - self.shift, self.activation(raw[:, 1:])
        density = self.scale * torch.nn.functional.softplus(hidden) * rays.inside
        return ShadedRays(
            rays, absorption(density, rays.step), torch.exp(-rays.step * density.cumsum(3)), colour,
            self.scale * hidden.sigmoid() * rays.inside,
            colour * (1 - colour) if self.colours == "sigmoid" else torch.ones_like(colour),
            float(self.background == "white"),
        )  # fmt: skip

    def _grid(self, params: Tensor) -> Tensor:
        """Return parameters (B, p) as grids (B, 1 + C, G^3)."""
        nodes = self.resolution**3
        colours = params[:, nodes:].unflatten(1, (nodes, self.shape[0]))
        return torch.cat([params[:, None, :nodes], colours.mT], 1)

    def _flat(self, grid: Tensor) -> Tensor:
        """Return grids (..., 1 + C, G^3) as parameters (..., p)."""
        return torch.cat([grid[..., 0, :], grid[..., 1:, :].mT.flatten(-2)], -1)


@lru_cache(maxsize=32)
def coarse_rays(
    camera: Camera, size: int, samples: int, resolution: int, view: tuple[float, ...], dtype: torch.dtype,
    device: torch.device,
) -> Rays:  # fmt: skip
    """Return the rays of a view through a grid with the weights of all nodes (cached)."""
    # A tensor cached in inference mode could not take part in derivatives later.
    with torch.inference_mode(False), torch.no_grad():
        points, step, inside = _samples(camera, size, samples, view, dtype, device)
        return Rays(hats(points, resolution), step, inside)


def fine_rays(
    camera: Camera, size: int, samples: int, resolution: int, view: tuple[float, ...], dtype: torch.dtype,
    device: torch.device,
) -> FineRays:  # fmt: skip
    """Return the rays of a view through a grid with the nodes around each sample."""
    points, step, inside = _samples(camera, size, samples, view, dtype, device)
    nodes, shares = zip(*corners(points, resolution), strict=True)
    return FineRays(torch.stack(nodes), torch.stack(shares), step, inside, resolution**3)


def _samples(
    camera: Camera, size: int, samples: int, view: tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the samples (R S, 3) of a view's rays, their spacing, and which are inside (R, S)."""
    points, step = camera.points(torch.tensor(view, dtype=dtype, device=device), size, samples)
    return points.flatten(0, 1), step, (points.abs() <= 1).all(2)
