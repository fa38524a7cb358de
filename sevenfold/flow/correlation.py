"""Correlation of all pairs of positions of two feature maps, and its lookup around moving coordinates.

Three ways to the same numbers, all free of state between calls: ``AllPairs`` stores the volume (fast, memory
grows with the square of the grid); ``OnDemand`` computes the volume again in parts; ``Window`` computes only
the products that a lookup needs (memory and work grow with the grid).
"""

from collections.abc import Callable, Iterator
from copy import copy
from typing import Any, Literal, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sevenfold.deq.transforms import exporting
from sevenfold.measuring import free_bytes

Kind = Literal["auto", "all_pairs", "on_demand", "window"]

# Volumes of more than this part of the free memory make ``auto`` compute windows.
AUTO_SHARE = 0.25
COMPILED = 2 * 1024**3  # bytes, in a compiled program
# Numbers that a lookup without a stored volume holds at a time (64 MiB of float32).
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

    ``auto`` stores the volume while it takes less than a quarter of the device's free memory, else it
    computes windows; a compiled program stores 2 GiB at most, an exported one as many for one pair. Raises
    ValueError where the coarsest level would be empty.
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
        # A graph cannot ask how much memory is free.
        limit = COMPILED if torch.compiler.is_compiling() else AUTO_SHARE * free_bytes(first.device)
        kind = "all_pairs" if size <= limit else "on_demand" if exporting() else "window"
    # C_ij = <g(I_1)_i, g(I_2)_j> / sqrt(D), pooled over j by 1, 2, 4, 8 (Teed and Deng 2020, eq. 1; the scale
    # is that of the released code).
    rows = first.to(dtype).flatten(2).transpose(1, 2) / first.shape[1] ** 0.5
    pyramid = list(_pyramid(second.to(dtype), levels))
    if kind == "on_demand":
        return OnDemand(rows, pyramid, radius)
    if kind == "window":
        return Window(rows, pyramid, radius)
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
        return _in_parts(self._part, self.rows, level, centers, CHUNK // level[:, 0].numel())

    def _part(self, rows: Tensor, level: Tensor, centers: Tensor) -> Tensor:
        return _windows(_volume(rows, level), centers, self.radius)

    def select(self, index: Tensor) -> "OnDemand":
        """Keep the samples ``index``."""
        return OnDemand(self.rows[index], [level[index] for level in self.pyramid], self.radius)


class Window:
    """Compute the products of each position with the cells around its target, and nothing else.

    A window of (2r+1)^2 places between cells lies within (2r+2)^2 cells, whose products are mixed with the
    same four weights everywhere: bilinear sampling of a volume equals that, for it is linear.
    """

    def __init__(self, rows: Tensor, pyramid: list[Tensor], radius: int):
        self.rows = rows
        self.radius = radius
        # Zeros around the map, so wide that the window of every target has its place.
        self.margin = 2 * radius + 3
        self.pyramid = [F.pad(level, [self.margin] * 4).permute(0, 2, 3, 1).contiguous() for level in pyramid]

    def __call__(self, coordinates: Tensor) -> Tensor:
        """Multiply and mix, some positions at a time."""
        centers = coordinates.flatten(2).transpose(1, 2)
        return _join([self._level(i, centers / 2**i) for i in range(len(self.pyramid))], coordinates)

    def _level(self, number: int, centers: Tensor) -> Tensor:
        """Return the windows (B, H*W, (2r+1)^2) of one level."""
        numbers = self.rows[:, 0].numel() * (2 * self.radius + 2) ** 2
        return _in_parts(self._part, self.rows, self.pyramid[number], centers, CHUNK // numbers)

    def _part(self, rows: Tensor, level: Tensor, centers: Tensor) -> Tensor:
        batch, height, width, channels = level.shape
        radius, margin, side = self.radius, self.margin, 2 * self.radius + 2
        corner = centers.detach().floor()
        share = centers - corner
        # Farther out than the radius and a cell there are zeros alone; targets that are not numbers go there.
        sizes = corner.new_tensor([width, height]) - 2 * margin
        corner = torch.minimum(corner.nan_to_num(1e9).clamp(min=-(radius + 2)), sizes + radius + 1).long()
        step = torch.arange(side, device=level.device) - radius + margin
        x, y = corner[..., 0, None] + step, corner[..., 1, None] + step
        first = torch.arange(batch, device=level.device)[:, None, None, None] * height
        place = ((first + y[:, :, None]) * width + x[..., None]).flatten(2)  # (B, P, side^2), x before y
        with torch.autocast(rows.device.type, enabled=False):
            cells = F.embedding(place, level.view(-1, channels))
            products = (cells @ rows[..., None]).view(*place.shape[:2], side, side)
        # c(x + f) = (1 - f) c(x) + f c(x + 1) along each axis, with one fraction f for a whole window.
        along_x = torch.lerp(products[:, :, :-1], products[:, :, 1:], share[..., 0, None, None])
        mixed = torch.lerp(along_x[..., :-1], along_x[..., 1:], share[..., 1, None, None])
        return mixed.flatten(2)

    def select(self, index: Tensor) -> "Window":
        """Keep the samples ``index``."""
        chosen = copy(self)
        chosen.rows, chosen.pyramid = self.rows[index], [level[index] for level in self.pyramid]
        return chosen


def _in_parts(
    part: Callable[[Tensor, Tensor, Tensor], Tensor],
    rows: Tensor,
    level: Tensor,
    centers: Tensor,
    length: int,
) -> Tensor:
    """Look up ``length`` positions at a time, again in the backward pass, and join them."""
    parts = zip(rows.split(max(1, length), dim=1), centers.split(max(1, length), dim=1), strict=True)
    settings: Any = {"use_reentrant": False, "preserve_rng_state": False}
    return torch.cat([checkpoint(part, some, level, at, **settings) for some, at in parts], dim=1)
