"""Outlines of the layers of rendered scenes, as maps of the distance to the outline."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sevenfold.flow.synthetic.leaves import power_noise
from sevenfold.flow.synthetic.shapes import draw_star

CELLS, REACH = 96, 1.6  # cells of a map along each side; half its side in radii of the shape


def outline_bank(count: int, random: np.random.Generator) -> Tensor:
    """Return maps (count, CELLS, CELLS) of the signed distance to an outline, in radii, negative inside.

    Cell centers are spread evenly over [-REACH, REACH]. Kinds are drawn with the probabilities of ``KINDS``;
    distances of stars, blobs and filaments are right to first order near the outline.
    """
    axis = (2 * torch.arange(CELLS, dtype=torch.float64) + 1) / CELLS * REACH - REACH
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    drawers = list(KINDS)
    kinds = random.choice(len(drawers), size=count, p=list(KINDS.values()))
    return torch.stack([drawers[kind](x, y, random) for kind in kinds]).float()


def star(x: Tensor, y: Tensor, random: np.random.Generator) -> Tensor:
    """Map a wavy disc of three harmonics; no ray from its center is longer than 1.4 radii."""
    harmonics = draw_star(1.0, random)
    longest = 1 + sum(abs(part) for part in harmonics.harmonics)
    scale = min(1.0, 1.4 / longest)
    return scale * harmonics.distance(x / scale, y / scale)


def polygon(x: Tensor, y: Tensor, random: np.random.Generator) -> Tensor:
    """Map the inner side of three to six lines, each at 0.6 to 1 radius from the center."""
    corners = int(random.integers(3, 7))
    angles = 2 * np.pi * (np.arange(corners) + random.uniform(-0.2, 0.2, corners)) / corners
    offsets = random.uniform(0.6, 1.0, corners) * (0.6 if corners == 3 else 1.0)
    sides = [np.cos(a) * x + np.sin(a) * y - d for a, d in zip(angles, offsets, strict=True)]
    # Corners of thin triangles are cut off where the map ends.
    return torch.stack([*sides, torch.hypot(x, y) - 1.45]).amax(dim=0)


def bar(x: Tensor, y: Tensor, random: np.random.Generator) -> Tensor:
    """Map a rectangle 2 radii long whose sides have a ratio of 2 to 20, even in its logarithm."""
    thick = 1 / np.exp(random.uniform(np.log(2), np.log(20)))
    return _box(x, y, 1.0, thick)


def ring(x: Tensor, y: Tensor, random: np.random.Generator) -> Tensor:
    """Map a ring of radius 1 at its middle, 0.1 to 0.5 wide."""
    return (torch.hypot(x, y) - 1).abs() - random.uniform(0.05, 0.25)


def blob(x: Tensor, y: Tensor, random: np.random.Generator) -> Tensor:
    """Map a disc whose radius is disturbed by noise."""
    noise = torch.from_numpy(power_noise(1, CELLS, np.array([1.8]), random)[0, 0])
    return torch.hypot(x, y) - 1 + (0.18 * noise).clamp(-0.4, 0.4)


def filament(x: Tensor, y: Tensor, random: np.random.Generator) -> Tensor:
    """Map the part of a disc where noise is near one level: threads and loops."""
    noise = torch.from_numpy(power_noise(1, CELLS, np.array([2.0]), random)[0, 0])
    slope_y, slope_x = torch.gradient(noise, spacing=float(2 * REACH / CELLS))
    level, half = random.uniform(-0.5, 0.5), random.uniform(0.03, 0.12)
    # |n - level| / |grad n| is the distance to the level line to first order.
    line = (noise - level).abs() / torch.hypot(slope_x, slope_y).clamp(min=0.3) - half
    return torch.maximum(line, torch.hypot(x, y) - 1.2)


def _box(x: Tensor, y: Tensor, half_x: float, half_y: float) -> Tensor:
    """Return the exact signed distance to a rectangle."""
    a, b = x.abs() - half_x, y.abs() - half_y
    return torch.hypot(a.clamp(min=0), b.clamp(min=0)) + torch.maximum(a, b).clamp(max=0)


KINDS: dict[Callable[[Tensor, Tensor, np.random.Generator], Tensor], float] = {
    star: 0.25,
    polygon: 0.20,
    bar: 0.20,
    ring: 0.10,
    blob: 0.15,
    filament: 0.10,
}
"""How an outline is drawn, and how likely each is."""
