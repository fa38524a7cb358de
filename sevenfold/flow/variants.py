"""Widths of the flow networks: a variant is a row of this table, not a class."""

from dataclasses import dataclass, replace
from math import prod
from typing import Literal

Norm = Literal["instance", "batch", "none"]


@dataclass(frozen=True, kw_only=True)
class Widths:
    """Give the channels, strides and window of one flow network.

    ``stages`` lists (channels, stride) of the encoder's stages after the stem, which itself halves the
    resolution; ``blocks`` is the number of residual blocks in each. ``corr``, ``flow``, ``motion`` are the
    motion encoder's channels, ``kernels`` the kernel sizes of the gated units applied in turn, ``head`` the
    flow head's hidden width, ``mask`` the mask head's (0: no mask, bilinear upsampling).
    """

    stem: int = 64
    stages: tuple[tuple[int, int], ...] = ((64, 1), (96, 2), (128, 2))
    blocks: int = 2
    bottleneck: bool = False
    context_norm: Norm = "batch"
    features: int = 256
    levels: int = 4
    radius: int = 4
    hidden: int
    context: int
    corr: tuple[int, ...]
    flow: tuple[int, int]
    motion: int
    kernels: tuple[tuple[int, int], ...] = ((1, 5), (5, 1))
    head: int
    mask: int = 256

    @property
    def stride(self) -> int:
        """Pixels per cell of the coarse grid, along each axis."""
        return 2 * prod(stride for _, stride in self.stages)

    @property
    def correlation_channels(self) -> int:
        """Channels of one correlation lookup."""
        return self.levels * (2 * self.radius + 1) ** 2


SMALL = Widths(
    stem=32,
    stages=((32, 1), (64, 2), (96, 2)),
    bottleneck=True,
    context_norm="none",
    features=128,
    radius=3,
    hidden=96,
    context=64,
    corr=(96,),
    flow=(64, 32),
    motion=82,
    kernels=((3, 3),),
    head=128,
    mask=0,
)
TINY = Widths(features=64, hidden=32, context=32, corr=(64, 48), flow=(32, 16), motion=32, head=64)
BASE = Widths(hidden=128, context=128, corr=(256, 192), flow=(128, 64), motion=128, head=256)
LARGE = Widths(hidden=192, context=192, corr=(384, 288), flow=(192, 96), motion=192, head=384)
HUGE = Widths(hidden=256, context=256, corr=(512, 384), flow=(256, 128), motion=256, head=512)
GIANT = Widths(hidden=384, context=384, corr=(640, 480), flow=(320, 160), motion=320, head=640)
# About 250,000 parameters, at a quarter of the resolution: trains in minutes on one CPU thread.
DEMO = Widths(
    stem=24,
    stages=((32, 2), (48, 1)),
    blocks=1,
    context_norm="none",
    features=48,
    levels=3,
    radius=3,
    hidden=32,
    context=32,
    corr=(48,),
    flow=(16, 16),
    motion=32,
    kernels=((3, 3),),
    head=32,
    mask=24,
)

# About 850,000 parameters: what the shipped weights of ``scenes`` have.
SCENES = Widths(
    stem=32,
    stages=((48, 2), (80, 1)),
    blocks=1,
    context_norm="none",
    features=64,
    levels=4,
    radius=3,
    hidden=64,
    context=48,
    corr=(80, 80),
    flow=(32, 32),
    motion=64,
    kernels=((3, 3),),
    head=64,
    mask=48,
)

# RAFT's "large" has the widths that the DEQ papers call B.
RAFT_VARIANTS: dict[str, Widths] = {"small": SMALL, "large": BASE, "H": HUGE, "demo": DEMO}

# Version 1 of DEQ-Flow ("old_version" in the official code) has flow heads of at most 256 channels; its B is
# the later one. Version 1 "small" has RAFT-small's shape.
DEQ_VARIANTS: dict[str, Widths] = {
    "small": SMALL,
    "tiny": TINY,
    "B": BASE,
    "L": LARGE,
    "H": HUGE,
    "G": GIANT,
    "L_v1": replace(LARGE, head=256),
    "H_v1": replace(HUGE, head=256),
    "G_v1": replace(GIANT, head=256),
    "demo": DEMO,
    "scenes": SCENES,
}
