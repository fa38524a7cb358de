"""Small problems the tests share, all in float64."""

from typing import Any

import torch
from torch import Tensor

from sevenfold.config import build, schema
from sevenfold.diffreps import METHODS, REPRESENTATIONS
from sevenfold.diffreps.methods.base import Method
from sevenfold.diffreps.priors.mixture import Mixture
from sevenfold.diffreps.representations.base import Representation
from sevenfold.diffreps.sampling_task import Task, make_task
from sevenfold.diffreps.view_noise import Pool, ViewNoise
from sevenfold.tables import locate

SMALL: dict[str, dict[str, Any]] = {  # by representation, what makes it small; others take GENERAL
    "fourier": {"size": 6, "features": 4, "width": 6},
    "fourier_linear": {"size": 6, "features": 6},
    "gaussians2d": {"size": 6, "count": 5, "channels": 2},
    "grid": {"size": 6, "width": 5, "last": 6},
    "hashgrid": {"size": 6, "width": 5, "last": 8, "entries": 20},
    "low_band": {"size": 6, "count": 9, "channels": 2},
    "panorama": {"size": 6, "width": 6, "channels": 2},
    "pixels": {"size": 6, "channels": 2},
    "siren": {"size": 6, "width": 8, "channels": 2},
    "strokes": {"size": 6, "channels": 2},
    "symmetric": {"inner": {"name": "siren", "size": 6, "width": 8}},
    "tile": {"size": 6, "width": 8},
    "turned": {"inner": {"name": "siren", "size": 6, "width": 8}, "degrees": [0.0, 90.0]},
    "wide_canvas": {"size": 6, "length": 14, "channels": 2},
}

GENERAL = {"size": 6, "width": 8, "channels": 2}
VOLUMES = {"ink_volume", "mlp_nerf", "voxel_nerf"}  # the rest of their tests: test_volumes.py
WITH_FILES = {"autoencoded"}  # test_pipeline.py
NAMES = sorted(set(REPRESENTATIONS) - VOLUMES - WITH_FILES)


def representation(name: str, **options: Any) -> Representation:
    known = schema(locate(REPRESENTATIONS[name]))
    small = SMALL.get(name) or {option: value for option, value in GENERAL.items() if option in known}
    return build(REPRESENTATIONS, {"name": name, **small, **options}, "representation").double()


def method(name: str, **options: Any) -> Method:
    return build(METHODS, {"name": name, **options}, "method")


def mixture(shape: tuple[int, int, int], components: int = 3, seed: int = 0) -> Mixture:
    """A random mixture with full covariances over images of a shape."""
    generator = torch.Generator().manual_seed(seed)
    n = shape[0] * shape[1] * shape[2]
    means = torch.randn(components, n, generator=generator, dtype=torch.float64)
    roots = torch.randn(components, n, n, generator=generator, dtype=torch.float64) / n**0.5
    weights = torch.rand(components, generator=generator, dtype=torch.float64) + 0.2
    labels = torch.arange(components)
    return Mixture(means, roots @ roots.mT, weights / weights.sum(), shape=shape, labels=labels)


def task(
    rep: Representation, prior: Mixture, count: int = 3, noise: ViewNoise | None = None, **options: Any
) -> Task:
    return make_task(rep, prior, noise or Pool(), seeds=range(count), dtype=torch.float64, **options)


def starts(rep: Representation, count: int = 2) -> Tensor:
    return torch.stack([rep.initial(torch.Generator().manual_seed(k)).double() for k in range(count)])
