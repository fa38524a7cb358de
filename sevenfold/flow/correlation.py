"""Correlation of all pairs of positions of two feature maps, and its lookup around moving coordinates.

Two ways to the same numbers, both free of state between calls: ``AllPairs`` stores the volume (fast, memory
grows with the square of the grid), ``OnDemand`` recomputes what each lookup touches (memory grows with the
grid).
"""

from collections.abc import Iterator
from typing import Any, Literal, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sevenfold.deq.transforms import exporting

Kind = Literal["auto", "all_pairs", "on_demand"]

# Volumes beyond this many bytes make ``auto`` compute on demand (a 1080p pair at 1/8 needs 5.6e9).
AUTO_LIMIT = 2 * 1024**3
# Numbers of the volume that an on-demand lookup holds at a time (64 MiB of float32).
CHUNK = 16 * 1024**2


class Correlation(Protocol):
    """Answer lookups: coordinates (B, 2, H, W), x first, in cells -> (B, levels * (2 radius + 1)^2, H, W).

    Channels are level-major; inside a level the first offset index moves x, the second y. Values are dot
    products over the square root of the number of channels, bilinear between cells, zero outside the map.
    """

    def __call__(self, coordinates: Tensor) -> Tensor:
        """Look the windows around ``coordinates`` up."""
        ...

    def select(self, index: Tensor) -> Self:
        """Keep the samples ``index`` of the batch only."""
        ...


def correlate(kind: Kind, first: Tensor, second: Tensor, *, levels: int, radius: int) -> Correlation:
    """Prepare lookups between feature maps (B, C, H, W) of two frames, always in at least float32.

    ``auto`` stores the volume while it takes less than 2 GiB (in an exported program: that of one pair).
    Raises ValueError where the coarsest level would be empty.
    """
    height, width = first.shape[-2:]
    if min(height, width) < 2 ** (levels - 1):
        raise ValueError(
            f"a feature map of {height}x{width} cells is too small for {levels} correlation levels:"
            f" each side needs {2 ** (levels - 1)} cells; use larger images or crops"
        )
    dtype = torch.promote_types(first.dtype, torch.float32)
    if kind == "auto":
        pairs = 1 if exporting() else first.shape[0]  # an exported program takes any number
        size = pairs * (height * width) ** 2 * dtype.itemsize * 4 / 3
        kind = "all_pairs" if size <= AUTO_LIMIT else "on_demand"
    # C_ij = <g(I_1)_i, g(I_2)_j> / sqrt(D), pooled over j by 1, 2, 4, 8 (Teed and Deng 2020, eq. 1; the scale
    # is that of the released code).
    rows = first.to(dtype).flatten(2).transpose(1, 2) / first.shape[1] ** 0.5
    pyramid = list(_pyramid(second.to(dtype), levels))
    if kind == "on_demand":
        return OnDemand(rows, pyramid, radius)
    return AllPairs([_volume(rows, level) for level in pyramid], radius)


def _pyramid(features: Tensor, levels: int) -> Iterator[Tensor]:
    """Halve a feature map repeatedly; pooling it equals pooling the volume, for dot products are linear."""
    for level in range(levels):
        yield features
        if level + 1 < levels:
            features = F.avg_pool2d(features, 2, 2)


def _windows(volume: Tensor, centers: Tensor, radius: int) -> Tensor:
    """Sample each position's own map on a square of offsets: (B, P, h, w), (B, P, 2) -> (B, P, (2r+1)^2)."""
    offset = torch.arange(-radius, radius + 1, device=centers.device, dtype=centers.dtype)
    # With align_corners=False cell x lies at (2 x + 1) / size - 1, which is right for maps one cell wide too.
    # Each axis is computed for 2r+1 offsets, not for all (2r+1)^2 places.
    x, y = (
        (2 * (at[:, None] + offset) + 1) / size - 1
        for at, size in zip(centers.flatten(0, 1).unbind(1), volume.shape[:1:-1], strict=True)
    )
    where = torch.stack(torch.broadcast_tensors(x[:, :, None], y[:, None]), dim=-1)
    samples = F.grid_sample(volume.flatten(0, 1)[:, None], where, align_corners=False)
    return samples.view(*centers.shape[:2], -1)


def _volume(rows: Tensor, level: Tensor) -> Tensor:
    """Correlate rows (B, P, C) with all cells of a map (B, C, h, w): (B, P, h, w)."""
    with torch.autocast(rows.device.type, enabled=False):
        return (rows @ level.flatten(2)).unflatten(2, level.shape[-2:])


def _join(found: list[Tensor], coordinates: Tensor) -> Tensor:
    """Put the windows of all levels (B, H*W, .) side by side as channels of a map, last in memory."""
    return torch.cat(found, dim=2).transpose(1, 2).unflatten(2, coordinates.shape[-2:])


class AllPairs:
    """Look windows up in stored volumes (B, H*W, h, w), one per level."""

    def __init__(self, volumes: list[Tensor], radius: int):
        self.volumes = volumes
        self.radius = radius

    def __call__(self, coordinates: Tensor) -> Tensor:
        """Sample every stored volume."""
        centers = coordinates.flatten(2).transpose(1, 2)
        levels = [_windows(volume, centers / 2**i, self.radius) for i, volume in enumerate(self.volumes)]
        return _join(levels, coordinates)

    def select(self, index: Tensor) -> "AllPairs":
        """Keep the samples ``index``."""
        return AllPairs([volume[index] for volume in self.volumes], self.radius)


class OnDemand:
    """Compute a part of the volume, look its windows up, forget it, go on; again in the backward pass."""

    def __init__(self, rows: Tensor, pyramid: list[Tensor], radius: int):
        self.rows = rows
        self.pyramid = pyramid
        self.radius = radius

    def __call__(self, coordinates: Tensor) -> Tensor:
        """Correlate and sample, some positions at a time."""
        centers = coordinates.flatten(2).transpose(1, 2)
        return _join([self._level(i, centers / 2**i) for i in range(len(self.pyramid))], coordinates)

    def _level(self, number: int, centers: Tensor) -> Tensor:
        """Return the windows (B, H*W, (2r+1)^2) of one level."""
        level = self.pyramid[number]
        length = max(1, CHUNK // level[:, 0].numel())
        parts = zip(self.rows.split(length, dim=1), centers.split(length, dim=1), strict=True)
        settings: Any = {"use_reentrant": False, "preserve_rng_state": False}
        return torch.cat([checkpoint(self._part, rows, level, at, **settings) for rows, at in parts], dim=1)

    def _part(self, rows: Tensor, level: Tensor, centers: Tensor) -> Tensor:
        return _windows(_volume(rows, level), centers, self.radius)

    def select(self, index: Tensor) -> "OnDemand":
        """Keep the samples ``index``."""
        return OnDemand(self.rows[index], [level[index] for level in self.pyramid], self.radius)
