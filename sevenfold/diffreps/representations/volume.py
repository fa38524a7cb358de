"""The common part of volumes: cameras, and absorption and emission of light along rays."""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor

from sevenfold.diffreps.representations.base import Layout, Representation
from sevenfold.diffreps.worlds.cameras import Camera, angles_between
from sevenfold.diffreps.worlds.march import RecomputedRays, absorption

Background = Literal["white", "black", "learned", "texture"]
TEXTURE = 4


class Volume(Representation):
    """A representation in the cube [-1, 1]^3; a view is a camera (azimuth, elevation), the pool a ring.

    ``camera``: the ring's cameras. ``samples``: on every ray.
    """

    def __init__(self, shape: tuple[int, int, int], layout: Layout, camera: Camera, samples: int) -> None:
        super().__init__(shape, layout)
        self.camera, self.samples = camera, samples

    def views(self, count: int, generator: torch.Generator) -> Tensor:
        """Return a ring of cameras."""
        return self.camera.ring(count)

    def angles(self, views: Tensor) -> Tensor:
        """Return the angles (K, K) between cameras, in degrees."""
        return angles_between(views)


class Nerf(Volume):
    """A volume of density and colour, seen by absorption along rays.

    Args:
        shape, camera, samples: of a view.
        fields: names and shapes of what density and colour are computed from.
        colours: ``sigmoid`` keeps colours in [0, 1]; ``linear`` leaves them free, as latents need.
        background: ``white`` (1), ``black`` (0), one ``learned`` colour, or a learned ``texture`` of 4x4
            behind every view.
        scale, shift: density = scale softplus(raw - shift).
        chunk: rays marched at a time, which bounds the memory; derivatives recompute each chunk.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        fields: dict[str, tuple[int, ...]],
        *,
        camera: Camera,
        samples: int,
        colours: Literal["sigmoid", "linear"],
        background: Background,
        scale: float,
        shift: float,
        chunk: int,
    ) -> None:
        side = {"learned": 1, "texture": TEXTURE}.get(background, 0)
        behind = {"background": (shape[0], side, side)} if side else {}
        super().__init__(shape, Layout({**fields, **behind}), camera, samples)
        self.colours, self.background, self.chunk = colours, background, chunk
        self.scale, self.shift = scale, shift
        self.range = (0.0, 1.0) if colours == "sigmoid" else None

    @abstractmethod
    def raw(self, params: Tensor, points: Tensor) -> Tensor:
        """Return raw density and colours (N, 1 + C) at points (N, 3)."""

    def density(self, params: Tensor, points: Tensor) -> Tensor:
        """Return the density (N,) at points, per unit of length; it is 0 outside the cube."""
        return self.fields(params, points)[0]

    def fields(self, params: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return density (N,) and colours (N, C)."""
        # sigma = scale softplus(raw - shift): positive, and nearly 0 at the start   (Sun et al. 2022)
        raw = self.raw(params, points)
        inside = (points.abs() <= 1).all(1)
        density = self.scale * torch.nn.functional.softplus(raw[:, 0] - self.shift) * inside
        return density, self.activation(raw[:, 1:])

    def activation(self, raw: Tensor) -> Tensor:
        """Return colours for raw values."""
        return raw.sigmoid() if self.colours == "sigmoid" else raw

    def render(self, params: Tensor, view: Tensor) -> Tensor:
        """Return the image."""
        light = self.march(params, view)
        channels = self.shape[0]
        image = light[:, :channels].T.reshape(self.shape)
        return image + (1 - light[:, channels]).reshape(1, *self.shape[1:]) * self.behind(params)

    def depth(self, params: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """Return depth and opacity (H, W); depth is the mean distance of the light from the near plane."""
        light = self.march(params, view)
        opacity, depth = light[:, -2], light[:, -1]
        size = self.shape[1:]
        return (depth / opacity.clamp(min=1e-6)).reshape(size), opacity.reshape(size)

    def march(self, params: Tensor, view: Tensor) -> Tensor:
        """Return colour, opacity and opacity times depth along every ray, (H W, C + 2)."""
        points, step = self.camera.points(view, self.shape[1], self.samples)
        rays = torch.cat([points.flatten(1), step], 1)

        def some(weights: Tensor, part: Tensor) -> Tensor:
            where, spacing = part[:, :-1].reshape(-1, 3), part[:, -1:]
            density, colour = self.fields(weights, where)
            # C = sum_i T_i (1 - exp(-sigma_i delta_i)) c_i,  T_i = exp(-sum_{j < i} sigma_j delta_j)
            # (Max 1995; Mildenhall et al. 2020, eq. 3)
            weight = absorption(density.view(len(part), -1), spacing)
            distance = self.camera.distances(self.samples).to(weights)
            colours = torch.einsum("rs,rsc->rc", weight, colour.view(*weight.shape, -1))
            return torch.cat([colours, weight.sum(1, keepdim=True), (weight @ distance)[:, None]], 1)

        if len(rays) <= self.chunk:
            return some(params, rays)
        return torch.cat([RecomputedRays.apply(some, params, part) for part in rays.split(self.chunk)])

    def behind(self, params: Tensor) -> Tensor | float:
        """Return the background, as an image or a number."""
        if self.background in ("white", "black"):
            return float(self.background == "white")
        texture = self.layout.split(params)["background"]
        if self.background == "texture":
            texture = torch.nn.functional.interpolate(
                texture[None], size=self.shape[1:], mode="bilinear", align_corners=True
            )[0]
        return self.activation(texture)
