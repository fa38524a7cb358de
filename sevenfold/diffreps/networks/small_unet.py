"""A small U-Net of plain PyTorch for class-conditional denoisers whose weights fit into a package."""

import math
from collections.abc import Iterable
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sevenfold.config import ConfigError
from sevenfold.ranges import LARGEST, NonNegativeInt, Range, Size

FEATURES, EMBEDDING, GROUPS = 96, 128, 8


class Block(nn.Module):
    """A residual block whose second norm is scaled and shifted by time and class."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(GROUPS, before), nn.Conv2d(before, after, 3, padding=1)
        self.style = nn.Linear(EMBEDDING, 2 * after)
        self.norm2, self.conv2 = nn.GroupNorm(GROUPS, after), _zero(nn.Conv2d(after, after, 3, padding=1))
        self.skip = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return (N, after, H, W) for ``x`` (N, before, H, W) and ``embedding`` (N, 128)."""
        scale, shift = self.style(embedding)[..., None, None].chunk(2, 1)
        # h = norm(h) (1 + scale) + shift   (Dhariwal & Nichol 2021, section 3)
        h = self.norm2(self.conv1(F.silu(self.norm1(x)))) * (1 + scale) + shift
        return self.skip(x) + self.conv2(F.silu(h))


class Attention(nn.Module):
    """Self-attention with one head over all places of an image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.qkv = nn.GroupNorm(GROUPS, width), nn.Conv2d(width, 3 * width, 1)
        self.out = _zero(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W)."""
        queries, keys, values = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, -1)
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        return x + self.out(mixed.transpose(1, 2).reshape(x.shape))


class SmallUNet(nn.Module):
    """Two resolutions behind a pixel-unshuffle by 2, with attention at the coarser one.

    Time is any scalar of about [0, 1]; it and the class scale and shift the norms of every residual block
    (Dhariwal & Nichol 2021). 1,384,668 parameters at the default options with 8 classes.

    Args:
        size: side of images in px, a multiple of 4; other sizes may be given to ``forward``.
        channels: of the images.
        classes: 0 for none.
        widths: channels of the two resolutions, multiples of 8.

    Example:
        >>> network = SmallUNet(classes=8)
        >>> sum(parameter.numel() for parameter in network.parameters())
        1384668
        >>> network(torch.zeros(2, 3, 32, 32), torch.tensor([0.1, 0.9]), torch.tensor([3, -1])).shape
        torch.Size([2, 3, 32, 32])
    """

    null_label = -1

    def __init__(
        self,
        *,
        size: Annotated[int, Range(4, LARGEST)] = 32,
        channels: Size = 3,
        classes: NonNegativeInt = 0,
        widths: tuple[Size, Size] = (48, 80),
    ) -> None:
        super().__init__()
        if any(width % GROUPS for width in widths):
            raise ConfigError("widths", f"must be multiples of {GROUPS}, got {list(widths)}")
        if size % 4:
            raise ConfigError("size", f"must be a multiple of 4, got {size}")
        self.shape, self.classes = (channels, size, size), classes
        fine, coarse = widths
        self.time = nn.Linear(FEATURES, EMBEDDING)
        self.label = nn.Embedding(classes + 1, EMBEDDING)  # the last row stands for no class
        self.first = nn.Conv2d(4 * channels, fine, 3, padding=1)
        self.fine_down = nn.ModuleList([Block(fine, fine), Block(fine, fine)])
        self.down = nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
        self.coarse_down = nn.ModuleList([Block(coarse, coarse), Block(coarse, coarse)])
        self.middle = nn.ModuleList([Block(coarse, coarse), Block(coarse, coarse)])
        self.attention = Attention(coarse)
        self.coarse_up = nn.ModuleList([Block(2 * coarse, coarse), Block(2 * coarse, coarse)])
        self.up = nn.Conv2d(coarse, coarse, 3, padding=1)
        self.fine_up = nn.ModuleList([Block(coarse + fine, fine), Block(2 * fine, fine)])
        self.norm, self.last = nn.GroupNorm(GROUPS, fine), _zero(nn.Conv2d(fine, 4 * channels, 3, padding=1))

    def forward(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the output (N, C, H, W) for images at ``time`` (N,); ``labels`` (N,) of -1 mean no class."""
        none = torch.full(time.shape, self.classes, device=x.device)
        classes = none if labels is None else torch.where(labels >= 0, labels, none)
        embedding = F.silu(self.time(_waves(time).to(x.dtype)) + self.label(classes))
        fine = [self.first(F.pixel_unshuffle(x, 2))]
        _extend(fine, self.fine_down, embedding)
        coarse = [self.down(fine[-1])]
        _extend(coarse, self.coarse_down, embedding)
        h = self.middle[1](self.attention(self.middle[0](coarse[-1], embedding)), embedding)
        for block in self.coarse_up:
            h = block(torch.cat([h, coarse.pop()], 1), embedding)
        h = self.up(F.interpolate(h, scale_factor=2.0))
        for block in self.fine_up:
            h = block(torch.cat([h, fine.pop()], 1), embedding)
        return F.pixel_shuffle(self.last(F.silu(self.norm(h))), 2)


def _waves(time: Tensor) -> Tensor:
    """Return sines and cosines (N, 96) of ``time`` (N,), at wavelengths from 4 down to .01."""
    half = FEATURES // 2
    octaves = torch.linspace(math.log(math.pi / 2), math.log(200 * math.pi), half, device=time.device)
    angles = time.float()[:, None] * octaves.exp()
    return torch.cat([angles.sin(), angles.cos()], 1)


def _extend(maps: list[Tensor], blocks: Iterable[nn.Module], embedding: Tensor) -> None:
    """Append the output of each block to the maps that the way up will take."""
    for block in blocks:
        maps.append(block(maps[-1], embedding))


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    """Set a layer to zero: every block, and the network, starts as the identity or as 0."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
