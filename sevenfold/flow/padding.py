"""Padding of pictures to the multiple that an estimator needs, as the benchmarks do it."""

from typing import Literal, NamedTuple

from torch import Tensor
from torch.nn.functional import pad as pad_tensor

PaddingRule = Literal["sintel", "kitti"]


class Amounts(NamedTuple):
    """Pixels added on each side."""

    left: int
    right: int
    top: int
    bottom: int


def amounts(
    height: int, width: int, multiple: int = 8, mode: PaddingRule = "sintel", least: int = 0
) -> Amounts:
    """Say how many pixels to add to a picture of this size to make both sides multiples of ``multiple``.

    No side is shorter than ``least``, a multiple too, then.

    ``sintel`` puts half on each side (the odd pixel right or below); ``kitti`` does so in width and puts
    all of the height at the bottom (RAFT's rules, specific to the two benchmarks).
    """
    if mode not in ("sintel", "kitti"):
        raise ValueError(f"padding '{mode}' is unknown; known are sintel and kitti")
    # Benchmarks pad differently: KITTI's sky is at the top, so that all of the height goes below.
    wide, high = (max(-side % multiple, least - side) for side in (width, height))
    top = 0 if mode == "kitti" else high // 2
    return Amounts(wide // 2, wide - wide // 2, top, high - top)


def pad(
    image: Tensor, multiple: int = 8, mode: PaddingRule = "sintel", least: int = 0
) -> tuple[Tensor, Amounts]:
    """Pad a picture or batch (..., C, H, W) by replication; return it and the amounts for ``unpad``."""
    added = amounts(image.shape[-2], image.shape[-1], multiple, mode, least)
    if not any(added):
        return image, added
    return pad_tensor(image, added, mode="replicate"), added


def unpad(field: Tensor, added: Amounts) -> Tensor:
    """Cut what ``pad`` added off anything of shape (..., H, W)."""
    height, width = field.shape[-2:]
    return field[..., added.top : height - added.bottom, added.left : width - added.right]
