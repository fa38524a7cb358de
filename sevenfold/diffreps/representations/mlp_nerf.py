"""A radiance field as a small network of points encoded by hash grids or sines, in plain PyTorch."""

import math
from typing import Literal

import torch
from torch import Tensor

from sevenfold.diffreps.representations import layers
from sevenfold.diffreps.representations.grid import GridEncoding
from sevenfold.diffreps.representations.volume import Background, Nerf
from sevenfold.diffreps.worlds.cameras import Camera
from sevenfold.ranges import AtLeastTwo, Count, Depth, Finite, Scale, Size


class MlpNerf(Nerf):
    """A radiance field whose density and colours are a network's output.

    Args:
        size, channels, camera, samples: of a view.
        encoding: ``hashgrid`` (Müller et al. 2022) or ``positional`` (Mildenhall et al. 2020).
        levels: grids, or octaves of frequencies.
        features, first, last, entries: of hash grids: features per corner, coarsest and finest resolution,
            largest number of entries.
        width, hidden: of the network.
        colours, background, scale, shift, chunk: as for ``voxel_nerf``.
    """

    def __init__(
        self,
        *,
        size: Size = 12,
        channels: Size = 3,
        camera: Camera = Camera(),
        samples: AtLeastTwo = 14,
        encoding: Literal["hashgrid", "positional"] = "hashgrid",
        levels: Depth = 3,
        features: Size = 2,
        first: Size = 4,
        last: Size = 10,
        entries: Count = 1024,
        width: Size = 32,
        hidden: Depth = 1,
        colours: Literal["sigmoid", "linear"] = "sigmoid",
        background: Background = "white",
        scale: Scale = 6.0,
        shift: Finite = 1.5,
        chunk: Count = 1024,
    ) -> None:
        # positional encoding has 3 coordinates, and sine and cosine of each in every octave
        inputs, tables, grid = 3 + 6 * levels, {}, None
        if encoding == "hashgrid":
            grid = GridEncoding(
                dimensions=3, levels=levels, features=features, first=first, last=last, entries=entries
            )
            inputs, tables = grid.outputs, grid.shapes
        network = layers.shapes(inputs, width, hidden, 1 + channels)
        super().__init__(
            (channels, size, size), {**tables, **network}, camera=camera, samples=samples, colours=colours,
            background=background, scale=scale, shift=shift, chunk=chunk,
        )  # fmt: skip
        self.encoding = grid
        self.network, self.hidden, self.levels = network, hidden, levels

    def initial(self, generator: torch.Generator) -> Tensor:
        """Draw features and network; a learned background starts at zero."""
        weights = layers.he_start(self.network, generator)
        if self.encoding is not None:
            weights = self.encoding.start(generator) | weights
        if "background" in self.layout.shapes:
            weights["background"] = torch.zeros(self.layout.shapes["background"])
        return self.layout.join(weights)

    def raw(self, params: Tensor, points: Tensor) -> Tensor:
        """Return the network's output."""
        weights = self.layout.split(params)
        inputs = waves(points, self.levels) if self.encoding is None else self.encoding(weights, points)
        return layers.network(weights, inputs, torch.nn.functional.softplus, self.hidden)


def waves(points: Tensor, octaves: int) -> Tensor:
    """Return points (N, 3) with sines and cosines of pi times 1, 2, 4, ... of them, (N, 3 + 6 octaves)."""
    # gamma(p) = (sin(2^l pi p), cos(2^l pi p)) for l = 0 .. L - 1   (Mildenhall et al. 2020, eq. 4)
    angles = [math.pi * 2**octave * points for octave in range(octaves)]
    return torch.cat([points, *(wave for angle in angles for wave in (angle.sin(), angle.cos()))], 1)
