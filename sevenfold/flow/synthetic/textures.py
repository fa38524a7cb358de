"""A bank of procedural textures, made once: octaves of noise mixed with polygons.

Evaluating noise and polygons anew for every picture would cost more than training on it.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sevenfold.seeding import torch_generator

OCTAVES = 7  # grids of 2, 4, ..., 128 values across a texture
FEW_CELLS, MANY_CELLS = 10, 40


@lru_cache(maxsize=2)
def texture_bank(seed: int, count: int = 256, size: int = 128) -> Tensor:
    """Return ``count`` gray textures, float32 (count, 1, size, size), each of mean 0 within [-1, 1].

    The result depends on the arguments alone and is cached: do not write into it.
    """
    generator = torch_generator(seed, "textures")
    shares = torch.rand(count, 3, generator=generator)
    shares = (shares / shares.sum(dim=1, keepdim=True))[..., None, None]
    parts = (
        octave_noise(count, size, generator),
        power_diagrams(count, size, FEW_CELLS, generator),
        power_diagrams(count, size, MANY_CELLS, generator),
    )
    mixed = torch.zeros(count, size, size)
    for index, part in enumerate(parts):
        mixed += shares[:, index] * _standardized(part)
    return torch.tanh(_standardized(mixed))[:, None]


def octave_noise(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Sum value noise over octaves, (count, size, size), each texture with its own fall-off of detail."""
    falloff = 0.2 + 1.0 * torch.rand(count, 1, 1, generator=generator)
    noise = torch.zeros(count, size, size)
    for octave in range(OCTAVES):
        grid = torch.randn(count, 1, 2 ** (octave + 1), 2 ** (octave + 1), generator=generator)
        weight = torch.exp2(-falloff * octave) * torch.rand(count, 1, 1, generator=generator)
        noise += weight * interpolate(grid, size=(size, size), mode="bicubic", align_corners=False)[:, 0]
    return noise


def power_diagrams(count: int, size: int, cells: int, generator: torch.Generator) -> Tensor:
    """Draw random convex polygons of constant gray, (count, size, size), with antialiased borders.

    A pixel p belongs to the site s with the largest 2 p.s - |s|^2 + w_s. Half the lead over the runner-up,
    divided by the distance of both sites, is the distance to the border.
    """
    sites = size * torch.rand(count, cells, 2, generator=generator)
    weights = size**2 / cells * torch.rand(count, cells, 1, generator=generator)
    grays = torch.randn(count, cells, generator=generator)
    planes = torch.cat([2 * sites, weights - sites.square().sum(dim=2, keepdim=True)], dim=2)
    axis = torch.arange(size) + 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], dim=2).reshape(-1, 3)
    pictures = torch.empty(count, size * size)
    for one, plane in enumerate(planes):  # one at a time stays in the cache
        score, site = (pixels @ plane.T).topk(2, dim=1)
        apart = (sites[one, site[:, 0]] - sites[one, site[:, 1]]).norm(dim=1)
        inside = (0.5 + (score[:, 0] - score[:, 1]) / (2 * apart)).clamp(max=1.0)
        gray = grays[one, site]
        pictures[one] = inside * gray[:, 0] + (1 - inside) * gray[:, 1]
    return pictures.reshape(count, size, size)


def _standardized(pictures: Tensor) -> Tensor:
    mean, deviation = pictures.mean(dim=(1, 2), keepdim=True), pictures.std(dim=(1, 2), keepdim=True)
    return (pictures - mean) / deviation.clamp(min=1e-6)
