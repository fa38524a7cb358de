"""Renders and depth maps of volumes in any views, and the agreement of depths between views."""

import torch
from torch import Tensor
from torch.func import vmap

from sevenfold.diffreps.representations.volume import Nerf, Volume
from sevenfold.diffreps.worlds.cameras import axes

SOLID = 0.5
NEAR = 0.15


def render_views(volume: Volume, theta: Tensor, views: Tensor) -> Tensor:
    """Return renders (B, K, C, H, W) of parameters (B, p) in views (K, 2), one view at a time."""
    return torch.cat([volume.rendered(theta, view[None]) for view in views], 1)


def depths(volume: Nerf, theta: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
    """Return depth and opacity maps (B, K, H, W)."""
    pairs = [vmap(volume.depth, (0, None))(theta, view) for view in views]
    return torch.stack([d for d, _ in pairs], 1), torch.stack([o for _, o in pairs], 1)


def opacity_entropy(volume: Volume, theta: Tensor, views: Tensor) -> dict[str, float]:
    """Return the mean entropy (bits) of pixels' opacity: 0 where every pixel is solid or empty.

    The mapping is empty for volumes without absorption.
    """
    if not isinstance(volume, Nerf):
        return {}
    opacity = depths(volume, theta, views)[1].clamp(1e-6, 1 - 1e-6)
    bits = -(opacity * opacity.log2() + (1 - opacity) * (1 - opacity).log2())
    return {"opacity_entropy": float(bits.mean())}


def depth_agreement(volume: Volume, theta: Tensor, views: Tensor) -> dict[str, float]:
    """Return the share of solid pixels whose point lies on the neighboring view's surface or behind it.

    A floating or transparent surface lies in front. The projection is parallel: the mapping is empty for
    volumes without absorption and for cameras with perspective.
    """
    if not isinstance(volume, Nerf) or volume.camera.field:
        return {}
    depth, opacity = depths(volume, theta, views)
    pairs = [
        _between(volume, views[k], views[(k + 1) % len(views)], depth[:, k], opacity[:, k],
                 depth[:, (k + 1) % len(views)])
        for k in range(len(views))
    ]  # fmt: skip
    agree, count = (float(sum(part)) for part in zip(*pairs, strict=True))
    return {"depth_agreement": agree / max(1.0, count)}


def _between(
    volume: Nerf, view: Tensor, other: Tensor, depth: Tensor, opacity: Tensor, other_depth: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the number of solid pixels of ``view`` that agree with the depths of ``other``, and of all."""
    camera, size = volume.camera, volume.shape[1]
    middle, direction = camera.rays(view, size)
    along = (depth.flatten(1) - camera.depth)[..., None] * direction  # (B, R, 3)
    right, up, back = axes(other)
    points = middle + along
    # project the points of one view into the image of the other
    x, y = points @ right / camera.extent, -(points @ up) / camera.extent
    column, row = (((v + 1) / 2 * size).long() for v in (x, y))
    solid = (opacity.flatten(1) > SOLID) & (x.abs() < 1) & (y.abs() < 1)
    place = (row.clamp(0, size - 1) * size + column.clamp(0, size - 1)).clamp(0, size * size - 1)
    theirs = other_depth.flatten(1).gather(1, place)
    distance = camera.depth - points @ back
    return (solid & (distance >= theirs - NEAR)).sum(), solid.sum()
