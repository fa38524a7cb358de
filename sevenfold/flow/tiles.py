"""Pictures that do not fit into memory, tile by tile: which tiles, where each starts, how they are joined."""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from sevenfold.errors import InputError

OVERLAP, LEAST = 112, 576  # px that neighbors share; smallest side of a tile


@dataclass(frozen=True)
class Tile:
    """A rectangle of a picture, in px."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, picture: Tensor) -> Tensor:
        """Return its part of a picture (..., H, W)."""
        return picture[..., self.top : self.top + self.height, self.left : self.left + self.width]


def plan(height: int, width: int, side: int, stride: int) -> list[Tile]:
    """Return tiles of at most ``side`` px that cover a picture whose sides are multiples of ``stride``.

    Neighbors overlap by ``OVERLAP`` px at least; all corners are multiples of ``stride``.

    >>> [(tile.left, tile.width) for tile in plan(64, 1024, 576, 8)]
    [(0, 576), (448, 576)]
    """
    overlap = -(-OVERLAP // stride) * stride
    side = side // stride * stride
    if side <= overlap:
        raise InputError(f"tile: expected more than {overlap} px, of which tiles overlap, got {side}")
    # The last tile ends with the picture, the others are spread evenly.
    axes = []
    for length in (height, width):
        count = 1 if length <= side else -(-(length - overlap) // (side - overlap))
        last = max(0, length - side)
        starts = [round(last * i / max(1, count - 1) / stride) * stride for i in range(count)]
        axes.append([(start, min(side, length)) for start in starts])
    return [Tile(top, left, h, w) for (top, h), (left, w) in product(*axes)]


class Blend:
    """The mean of overlapping tiles, weighted by ramps that fall to their inner borders.

    Args:
        height: of the picture in px.
        width: of the picture in px.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.total: Tensor | None = None
        self.weight = torch.zeros(height, width)

    def add(self, tile: Tile, values: Tensor) -> None:
        """Add a tile's maps (C, h, w)."""
        if self.total is None:
            self.total = torch.zeros(len(values), self.height, self.width)
        rows = _ramp(tile.height, tile.top > 0, tile.top + tile.height < self.height)
        columns = _ramp(tile.width, tile.left > 0, tile.left + tile.width < self.width)
        weight = rows[:, None] * columns
        tile.cut(self.total).add_(weight * values.cpu())
        tile.cut(self.weight).add_(weight)

    def mean(self) -> Tensor:
        """Return the joined maps (C, H, W)."""
        assert self.total is not None
        return self.total / self.weight


def _ramp(length: int, before: bool, after: bool) -> Tensor:
    """Return weights that rise where a neighbor comes ``before`` and fall where one comes ``after``."""
    place = torch.arange(length) + 0.5
    weight = torch.ones(length)
    if before:
        weight = torch.minimum(weight, place / OVERLAP)
    if after:
        weight = torch.minimum(weight, (length - place) / OVERLAP)
    return weight.clamp(1e-3, 1)


def reduced(picture: Tensor, factor: int) -> Tensor:
    """Return pictures (B, C, H, W) at 1/factor of their size, each pixel the mean of those it covers."""
    return interpolate(picture, scale_factor=1 / factor, mode="area")


def enlarged(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a coarse flow (B, 2, h, w) in its own px at the size (H, W), in px of that size."""
    factors = flow.new_tensor([size[1] / flow.shape[3], size[0] / flow.shape[2]]).view(1, 2, 1, 1)
    return factors * interpolate(flow, size=size, mode="bilinear", align_corners=False)


def cell_means(flow: Tensor, stride: int) -> Tensor:
    """Return a flow (B, 2, H, W) in px as the flow of cells (B, 2, H/s, W/s), in cells."""
    return avg_pool2d(flow, stride) / stride
