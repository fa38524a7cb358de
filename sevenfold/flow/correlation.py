"""Correlation of all pairs of positions of two feature maps, and its lookup around moving coordinates.

Two ways to the same numbers, both free of state between calls: ``AllPairs`` stores the volume (fast, memory
grows with the square of the grid), ``OnDemand`` recomputes what each lookup touches (memory grows with the
grid).
"""

from collections.abc import Iterator
from typing import Literal, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Kind = Literal["auto", "all_pairs", "on_demand"]

# Volumes beyond this many bytes make ``auto`` compute on demand (a 1080p pair at 1/8 needs 5.6e9).
AUTO_LIMIT = 2 * 1024**3
# Gathered features of one chunk of an on-demand lookup, in numbers (64 MiB of float32).
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

    ``auto`` stores the volume while it takes less than 2 GiB. Raises ValueError where the coarsest level
    would be empty.
    """
    height, width = first.shape[-2:]
    if min(height, width) < 2 ** (levels - 1):
        raise ValueError(
            f"a feature map of {height}x{width} cells is too small for {levels} correlation levels:"
            f" each side needs {2 ** (levels - 1)} cells; use larger images or crops"
        )
    dtype = torch.promote_types(first.dtype, torch.float32)
    if kind == "auto":
        size = first.shape[0] * (height * width) ** 2 * dtype.itemsize * 4 / 3
        kind = "all_pairs" if size <= AUTO_LIMIT else "on_demand"
    with torch.autocast(first.device.type, enabled=False):
        first = first.to(dtype) / first.shape[1] ** 0.5
        pyramid = list(_pyramid(second.to(dtype), levels))
        if kind == "on_demand":
            return OnDemand(first, pyramid, radius)
        rows = first.flatten(2).transpose(1, 2)
        volumes = [(rows @ level.flatten(2)).unflatten(2, level.shape[-2:]) for level in pyramid]
        return AllPairs(volumes, radius)


def _pyramid(features: Tensor, levels: int) -> Iterator[Tensor]:
    """Halve a feature map repeatedly; pooling it equals pooling the volume, for dot products are linear."""
    for level in range(levels):
        yield features
        if level + 1 < levels:
            features = F.avg_pool2d(features, 2, 2)


class AllPairs:
    """Look windows up in stored volumes (B, H*W, h, w), one per level."""

    def __init__(self, volumes: list[Tensor], radius: int):
        self.volumes = volumes
        self.radius = radius

    def __call__(self, coordinates: Tensor) -> Tensor:
        """Sample each position's own map on a square of offsets."""
        batch, _, height, width = coordinates.shape
        offset = torch.arange(
            -self.radius, self.radius + 1, device=coordinates.device, dtype=coordinates.dtype
        )
        offsets = torch.stack(torch.meshgrid(offset, offset, indexing="ij"), dim=-1)
        centers = coordinates.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
        found = []
        for level, volume in enumerate(self.volumes):
            size = torch.tensor(volume.shape[:1:-1], device=centers.device, dtype=centers.dtype)
            # With align_corners=False, cell x lies at (2 x + 1) / size - 1: right for maps one cell wide too.
            where = (2 * (centers / 2**level + offsets) + 1) / size - 1
            window = F.grid_sample(volume.flatten(0, 1).unsqueeze(1), where, align_corners=False)
            found.append(window.view(batch, height, width, -1))
        return torch.cat(found, dim=-1).permute(0, 3, 1, 2).contiguous()

    def select(self, index: Tensor) -> "AllPairs":
        """Keep the samples ``index``."""
        return AllPairs([volume[index] for volume in self.volumes], self.radius)


class OnDemand:
    """Compute each lookup from the features: dot products at the cells around a position, blended once.

    The offsets of a window share the fraction of their coordinates, so (2r + 2)^2 dot products at whole cells
    give all (2r + 1)^2 values. Work goes in chunks of positions, recomputed in the backward pass.
    """

    def __init__(self, first: Tensor, pyramid: list[Tensor], radius: int):
        self.first = first
        self.pyramid = pyramid
        self.radius = radius

    def __call__(self, coordinates: Tensor) -> Tensor:
        """Correlate every position with the cells its window touches."""
        batch, _, height, width = coordinates.shape
        side = 2 * self.radius + 2
        length = max(1, CHUNK // (side * side * self.first.shape[1]))
        rows = self.first.flatten(2).transpose(1, 2)
        centers = coordinates.flatten(2).transpose(1, 2)
        found = []
        for level, features in enumerate(self.pyramid):
            table = features.permute(0, 2, 3, 1)
            samples = [
                torch.cat(
                    [
                        checkpoint(
                            _windows,
                            part,
                            table[b],
                            center,
                            self.radius,
                            use_reentrant=False,
                            preserve_rng_state=False,
                        )
                        for part, center in zip(
                            rows[b].split(length), (centers[b] / 2**level).split(length), strict=True
                        )
                    ]
                )
                for b in range(batch)
            ]
            found.append(torch.stack(samples))
        return torch.cat(found, dim=-1).transpose(1, 2).unflatten(2, (height, width)).contiguous()

    def select(self, index: Tensor) -> "OnDemand":
        """Keep the samples ``index``."""
        return OnDemand(self.first[index], [level[index] for level in self.pyramid], self.radius)


def _windows(rows: Tensor, table: Tensor, centers: Tensor, radius: int) -> Tensor:
    """Correlate rows (P, C) with table (h, w, C) around centers (P, 2): (P, (2r+1)^2), x offset first."""
    height, width, _ = table.shape
    corner = centers.detach().floor()
    offset = torch.arange(-radius, radius + 2, device=centers.device)
    x, y = ((corner[:, i, None] + offset) for i in (0, 1))  # (P, 2r + 2) each
    inside = ((x >= 0) & (x < width))[:, :, None] & ((y >= 0) & (y < height))[:, None, :]
    cell = y.clamp(0, height - 1).long()[:, None, :] * width + x.clamp(0, width - 1).long()[:, :, None]
    with torch.autocast(table.device.type, enabled=False):
        dots = torch.einsum("pijc,pc->pij", F.embedding(cell, table.flatten(0, 1)), rows)
    dots = torch.where(inside, dots, 0)
    right, down = (centers - corner)[:, :, None, None].unbind(1)
    dots = dots[:, :-1] + right * (dots[:, 1:] - dots[:, :-1])
    return (dots[:, :, :-1] + down * (dots[:, :, 1:] - dots[:, :, :-1])).flatten(1)
