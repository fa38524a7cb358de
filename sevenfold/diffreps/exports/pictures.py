"""Pictures and animations of images in [0, 1]."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

LARGE = 96  # pixels a small image is enlarged to
MILLISECONDS = 90


def contact_sheet(images: Tensor, columns: int, gap: int = 1) -> Tensor:
    """Return images (N, C, H, W) as one image (3, ...), row by row, enlarged, ``gap`` pixels apart."""
    colors = images.float().clamp(0, 1)
    colors = colors[:, :3] if colors.shape[1] >= 3 else colors[:, :1].expand(-1, 3, -1, -1)
    factor = max(1, LARGE // colors.shape[-1])
    colors = colors.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    colors = torch.nn.functional.pad(colors, (0, gap, 0, gap), value=1.0)
    rows = [torch.cat(list(row), 2) for row in colors.split(columns)]
    rows[-1] = torch.nn.functional.pad(rows[-1], (0, rows[0].shape[2] - rows[-1].shape[2]), value=1.0)
    return torch.cat(rows, 1)


def shade(depth: Tensor, opacity: Tensor) -> Tensor:
    """Return depth maps (B, K, H, W) as gray images (B, K, 1, H, W): near is dark, empty is white."""
    solid = opacity > 0.5
    # each sample has a separate scale from its nearest to its farthest solid pixel
    low = torch.where(solid, depth, torch.inf).flatten(1).min(1).values.nan_to_num(posinf=0.0)
    high = torch.where(solid, depth, -torch.inf).flatten(1).max(1).values.nan_to_num(neginf=1.0)
    low, high = low.view(-1, 1, 1, 1), high.view(-1, 1, 1, 1)
    gray = 0.85 * ((depth - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    return torch.where(solid, gray, torch.ones_like(gray))[:, :, None]


def save_png(path: Path, image: Tensor) -> None:
    """Write an image (C, H, W) in [0, 1], one, three or four channels of which three are shown."""
    _picture(image).save(path)


def save_gif(path: Path, frames: Sequence[Tensor]) -> None:
    """Write frames (C, H, W) as an endless animation."""
    first, *rest = [_picture(frame) for frame in frames]
    first.save(path, save_all=True, append_images=rest, duration=MILLISECONDS, loop=0)


def _picture(image: Tensor) -> Image.Image:
    colors = image.detach().cpu().float().clamp(0, 1)
    colors = colors[:3] if colors.shape[0] >= 3 else colors[:1].expand(3, -1, -1)
    return Image.fromarray((colors.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
