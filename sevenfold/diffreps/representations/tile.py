"""An image on a torus, which continues across its edges by construction."""

import math

import torch
from torch import Tensor

from sevenfold.diffreps.representations.base import pixel_centers
from sevenfold.diffreps.representations.siren import SineNetwork, SineRepresentation
from sevenfold.ranges import Depth, Scale, Size


class Tile(SineRepresentation):
    """A tile: a sine network (Sitzmann et al. 2020) of (cos, sin) of both coordinates.

    A view is a cyclic shift in whole pixels (rows, columns); the pool's first is none.

    Args:
        size, channels: of the image.
        width, hidden, w0: of the network.
    """

    centers: Tensor

    def __init__(
        self, *, size: Size = 16, channels: Size = 1, width: Size = 32, hidden: Depth = 2, w0: Scale = 6.0
    ) -> None:
        network = SineNetwork(inputs=4, width=width, hidden=hidden, w0=w0, outputs=channels)
        super().__init__(network, (channels, size, size))
        self.cells = size * size
        self.register_buffer("centers", pixel_centers(size, size))

    def views(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw shifts."""
        shifts = torch.randint(self.shape[1], (count, 2), generator=generator).float()
        shifts[0] = 0
        return shifts

    def coordinates(self, view: Tensor) -> Tensor:
        """Return places on the torus (H W, 4)."""
        # (x, y) -> (cos pi x, cos pi y, sin pi x, sin pi y): equal at x and x + 2, so opposite edges meet
        angle = math.pi * (self.centers + view.flip(0) * 2 / self.shape[1])
        return torch.cat([angle.cos(), angle.sin()], 1)

    def anchors(self, view: Tensor) -> Tensor:
        """Return the numbers of the torus' pixels."""
        size = self.shape[1]
        rows, columns = ((torch.arange(size, device=view.device) + shift) % size for shift in view.long())
        return rows[:, None] * size + columns
