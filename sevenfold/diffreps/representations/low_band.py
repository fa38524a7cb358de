"""An image as its lowest two-dimensional cosines: affine, so that laws on it are exact."""

import math

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.representations.affine import Affine
from sevenfold.ranges import Finite, Size


class LowBand(Affine):
    """The first ``count`` cosines of each channel, ordered by i + j (Ahmed, Natarajan & Rao 1974).

    Args:
        size, channels: of the image.
        count: number of cosines of each channel.
        middle: value of the image whose parameters are 0.

    Example:
        >>> LowBand(size=8, count=16).layout.size
        16
    """

    def __init__(
        self, *, size: Size = 16, channels: Size = 1, count: Size = 24, middle: Finite = 0.0
    ) -> None:
        if count > size**2:
            raise ConfigError("count", f"an image of {size}x{size} pixels has {size**2} cosines, got {count}")
        basis = torch.block_diag(*[cosines(size, count)] * channels)
        offset = torch.full((1, len(basis)), middle, dtype=torch.float64)
        super().__init__(basis[None], offset, shape=(channels, size, size))


def cosines(size: int, count: int) -> Tensor:
    """Return the first cosines (size^2, count) of square images, ordered by (i + j, i, j), orthonormal."""
    x = (torch.arange(size, dtype=torch.float64) + 0.5) * math.pi / size
    pairs = sorted(((i, j) for i in range(size) for j in range(size)), key=lambda pair: (sum(pair), *pair))
    # b_ij(x, y) ~ cos(i x) cos(j y)   (Ahmed, Natarajan & Rao 1974, equation 1, in each direction)
    columns = [((i * x).cos()[:, None] * (j * x).cos()).flatten() for i, j in pairs[:count]]
    return torch.nn.functional.normalize(torch.stack(columns, 1), dim=0)
