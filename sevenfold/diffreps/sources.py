"""Real images: what priors are fitted to and samples are compared with."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sevenfold.config import ConfigError


@dataclass(frozen=True)
class Images:
    """Images (N, C, H, W) with labels (N,), and between which values they lie."""

    name: str
    images: Tensor
    labels: Tensor
    range: tuple[float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (C, H, W)."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width


def digits(*, size: int = 16) -> Images:
    """Return scikit-learn's 1,797 digits in [-1, 1], resized bilinearly from 8x8; no download."""
    from sklearn.datasets import load_digits

    if size < 4:
        raise ConfigError("size", f"digits need at least 4 pixels, got {size}")
    found = load_digits()
    images = torch.as_tensor(found.images, dtype=torch.float64)[:, None] / 8 - 1
    if size != 8:
        images = torch.nn.functional.interpolate(images, size=(size, size), mode="bilinear")
    return Images(f"digits{size}", images.float(), torch.as_tensor(found.target), (-1.0, 1.0))
