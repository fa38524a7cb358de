"""Feature grids of several resolutions with a small network, dense or hashed (Müller et al. 2022)."""

import itertools

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.representations import layers
from sevenfold.diffreps.representations.base import CoordinateRepresentation, Layout, Weights, pixel_centers
from sevenfold.ranges import Count, Depth, Size

PRIMES = (1, 2654435761, 805459861)


class GridEncoding:
    """Features of points in [-1, 1]^k, interpolated on grids of resolutions ``first`` to ``last``.

    A grid with more corners than ``entries`` shares them by a hash of the corner; None shares nothing.
    """

    def __init__(
        self, *, dimensions: int, levels: int, features: int, first: int, last: int, entries: int | None
    ) -> None:
        if first > last:
            raise ConfigError("first", f"needs first <= last, got resolutions {first} to {last}")
        # N_l = N_min b^l,  b = exp((ln N_max - ln N_min) / (L - 1))   (Müller et al. 2022, eqs. 2 and 3)
        growth = (last / first) ** (1 / max(1, levels - 1))
        self.dimensions, self.entries = dimensions, entries
        self.resolutions = [round(first * growth**level) for level in range(levels)]
        self.outputs = levels * features
        self.shapes: dict[str, tuple[int, ...]] = {}
        for level, resolution in enumerate(self.resolutions):
            corners = (resolution + 1) ** dimensions
            self.shapes[f"table{level}"] = (min(corners, entries or corners), features)

    def start(self, generator: torch.Generator) -> Weights:
        """Draw small features."""
        return {name: layers.uniform(shape, 0.1, generator) for name, shape in self.shapes.items()}

    def __call__(self, weights: Weights, points: Tensor) -> Tensor:
        """Return features (N, outputs) of points (N, dimensions)."""
        return torch.cat(
            [self._level(weights[f"table{i}"], points, r) for i, r in enumerate(self.resolutions)], 1
        )

    def _level(self, table: Tensor, points: Tensor, resolution: int) -> Tensor:
        scaled = (points.clamp(-1, 1) + 1) / 2 * resolution
        low = scaled.floor().clamp(max=resolution - 1)
        share, features = scaled - low, points.new_zeros(len(points), table.shape[1])
        # multilinear interpolation: sum over the 2^d corners of the cell
        for corner in itertools.product((0, 1), repeat=self.dimensions):
            offset = torch.tensor(corner, device=points.device)
            weight = torch.where(offset > 0, share, 1 - share).prod(1, keepdim=True)
            features = features + weight * table[self._place(low.long() + offset, resolution)]
        return features

    def _place(self, corner: Tensor, resolution: int) -> Tensor:
        """Return the places in a table of the features of corners (N, dimensions)."""
        count = (resolution + 1) ** self.dimensions
        if self.entries is None or count <= self.entries:
            strides = [(resolution + 1) ** axis for axis in range(self.dimensions)]
            return sum((corner[:, axis] * stride for axis, stride in enumerate(strides)), corner[:, 0] * 0)
        # h(x) = (x_1 pi_1 xor x_2 pi_2 xor ...) mod T   (Müller et al. 2022, eq. 4)
        hashed = corner[:, 0] * PRIMES[0]
        for axis in range(1, self.dimensions):
            hashed = hashed ^ (corner[:, axis] * PRIMES[axis])
        return hashed % self.entries


class Grid(CoordinateRepresentation):
    """An image as a small network of features on dense grids.

    Args:
        size, channels: of the image.
        levels, features, first, last: grids, features per corner, coarsest and finest resolution.
        width, hidden: of the network.
    """

    centers: Tensor

    def __init__(
        self,
        *,
        size: Size = 16,
        channels: Size = 1,
        levels: Depth = 3,
        features: Size = 2,
        first: Size = 4,
        last: Size = 12,
        width: Size = 16,
        hidden: Depth = 1,
    ) -> None:
        self._build(size, channels, width, hidden, levels, features, first, last, None)

    def _build(
        self, size: int, channels: int, width: int, hidden: int,
        levels: int, features: int, first: int, last: int, entries: int | None,
    ) -> None:  # fmt: skip
        encoding = GridEncoding(
            dimensions=2, levels=levels, features=features, first=first, last=last, entries=entries
        )
        network = layers.shapes(encoding.outputs, width, hidden, channels)
        super().__init__((channels, size, size), Layout({**encoding.shapes, **network}))
        self.encoding, self.network, self.hidden = encoding, network, hidden
        self.register_buffer("centers", pixel_centers(size, size))

    def initial(self, generator: torch.Generator) -> Tensor:
        """Draw features and network."""
        weights = self.encoding.start(generator) | layers.he_start(self.network, generator)
        return self.layout.join(weights)

    def coordinates(self, view: Tensor) -> Tensor:
        """Return the pixel centers."""
        return self.centers

    def values(self, weights: Weights, coordinates: Tensor) -> Tensor:
        """Return the network's output."""
        return layers.network(weights, self.encoding(weights, coordinates), torch.relu, self.hidden)


class HashGrid(Grid):
    """Grids with a limited number of entries each, addressed by a hash of the corner.

    Args:
        entries: largest number of entries of each grid.
    """

    def __init__(
        self,
        *,
        size: Size = 16,
        channels: Size = 1,
        levels: Depth = 4,
        features: Size = 2,
        first: Size = 4,
        last: Size = 16,
        entries: Count = 64,
        width: Size = 16,
        hidden: Depth = 1,
    ) -> None:
        self._build(size, channels, width, hidden, levels, features, first, last, entries)
