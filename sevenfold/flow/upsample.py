"""From the coarse grid back to pixels: convex (Teed and Deng, ECCV 2020, section 3.3) and bilinear."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def pixel_grid(like: Tensor) -> Tensor:
    """Return the coordinates (1, 2, H, W) of the cells of a map (B, C, H, W), x in channel 0, in its type."""
    rows, columns = (torch.arange(n, device=like.device, dtype=like.dtype) for n in like.shape[-2:])
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y])[None]


def convex_upsample(flow: Tensor, mask: Tensor, factor: int) -> Tensor:
    """Upsample ``flow`` (B, 2, h, w), in cells, to (B, 2, factor h, factor w), in pixels.

    Every pixel is a convex combination of the nine cells around its own; ``mask`` (B, 9 factor^2, h, w) holds
    the logits, laid out (9, factor, factor).
    """
    batch, channels, height, width = flow.shape
    # u(p) = sum over 3x3 cells of softmax(mask) factor u: convex upsampling (Teed and Deng 2020, section
    # 3.3).
    weights = mask.view(batch, 1, 9, factor * factor, height, width).softmax(dim=2)
    cells = F.unfold(factor * flow, 3, padding=1).view(batch, channels, 9, 1, height, width)
    pixels = (weights * cells).sum(dim=2)
    return F.pixel_shuffle(pixels.flatten(1, 2), factor)


def bilinear_upsample(flow: Tensor, factor: int) -> Tensor:
    """Upsample ``flow`` (B, 2, h, w), in cells, to pixels by bilinear interpolation, corners aligned."""
    return factor * F.interpolate(flow, scale_factor=factor, mode="bilinear", align_corners=True)


class MaskPredictor(nn.Module):
    """Predict the logits of ``convex_upsample`` from the hidden state (B, hidden, h, w).

    They are multiplied by a quarter, as in RAFT, to balance the gradients.
    """

    def __init__(self, hidden: int, width: int, factor: int):
        super().__init__()
        self.convrelu = nn.Sequential(nn.Conv2d(hidden, width, 3, padding=1), nn.ReLU(inplace=True))
        self.conv = nn.Conv2d(width, 9 * factor * factor, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (B, 9 factor^2, h, w) logits."""
        return 0.25 * self.conv(self.convrelu(hidden))


class ScalePredictor(nn.Module):
    """Predict the two maps of the mixture of Laplace laws from the hidden state (B, hidden, h, w)."""

    def __init__(self, hidden: int, width: int):
        super().__init__()
        self.convrelu = nn.Sequential(nn.Conv2d(hidden, width, 3, padding=1), nn.ReLU(inplace=True))
        self.conv = nn.Conv2d(width, 2, 3, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (B, 2, h, w): the logit a and the log-scale b."""
        return self.conv(self.convrelu(hidden))
