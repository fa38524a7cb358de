"""Noise levels a sampler visits: falling, float64, ending in 0; shape (levels + 1,).

Bounds left out are the prior's.
"""

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.noise_table import NoiseTable, time_of
from sevenfold.diffreps.priors.base import Prior
from sevenfold.ranges import Scale, Size

VP = NoiseTable()


def karras(
    *,
    prior: Prior,
    levels: Size = 30,
    sigma_min: Scale | None = None,
    sigma_max: Scale | None = None,
    rho: Scale = 7.0,
) -> Tensor:
    """Space sigma^(1/rho) evenly (Karras et al. 2022, equation 5).

    Args:
        levels: noise levels, the final 0 not counted.
        sigma_min, sigma_max: lowest and highest level; null: the prior's.
        rho: exponent: the larger, the more levels are low.
    """
    low, high = _bounds(prior, levels, sigma_min, sigma_max)
    return _with_zero(torch.linspace(high ** (1 / rho), low ** (1 / rho), levels, dtype=torch.float64) ** rho)


def log(
    *, prior: Prior, levels: Size = 30, sigma_min: Scale | None = None, sigma_max: Scale | None = None
) -> Tensor:
    """Space log sigma evenly.

    Args:
        levels: noise levels, the final 0 not counted.
        sigma_min, sigma_max: lowest and highest level; null: the prior's.
    """
    low, high = _bounds(prior, levels, sigma_min, sigma_max)
    ends = torch.tensor([high, low], dtype=torch.float64).log()
    return _with_zero(torch.linspace(float(ends[0]), float(ends[1]), levels, dtype=torch.float64).exp())


def uniform_t(
    *, prior: Prior, levels: Size = 30, sigma_min: Scale | None = None, sigma_max: Scale | None = None
) -> Tensor:
    """Space the time of the prior's noise table evenly; of the usual linear one where it has none.

    Args:
        levels: noise levels, the final 0 not counted.
        sigma_min, sigma_max: lowest and highest level; null: the prior's.
    """
    low, high = _bounds(prior, levels, sigma_min, sigma_max)
    sigmas = _sigmas(prior)
    first, last = time_of(torch.tensor([high, low], dtype=torch.float64), sigmas).tolist()
    times = torch.linspace(first, last, levels, dtype=torch.float64)
    left = times.floor().long().clamp(max=len(sigmas) - 2)
    logs = sigmas.log()
    return _with_zero(torch.lerp(logs[left], logs[left + 1], times - left).exp())


def table(*, prior: Prior, levels: Size = 30) -> Tensor:
    """Take evenly spaced entries of the prior's noise table, its last one first (DDIM's usual choice).

    Args:
        levels: noise levels, the final 0 not counted.
    """
    sigmas = _sigmas(prior)
    if not 1 <= levels <= len(sigmas):
        raise ConfigError("levels", f"the prior's table has {len(sigmas)} entries, {levels} were asked for")
    return _with_zero(sigmas[torch.linspace(len(sigmas) - 1, 0, levels).round().long()])


def trailing(*, prior: Prior, levels: Size = 30) -> Tensor:
    """Take every (T / levels)-th entry of the prior's noise table, its last one first; then 0.

    Latent models are usually sampled so (diffusers' ``timestep_spacing="trailing"``; Lin et al. 2024).

    Args:
        levels: noise levels, the final 0 not counted.
    """
    table = (prior.noise_table if prior is not None else None) or VP
    if not 1 <= levels <= table.steps:
        raise ConfigError("levels", f"the table has {table.steps} entries, {levels} were asked for")
    steps = torch.arange(table.steps, 0, -table.steps / levels, dtype=torch.float64).round().long() - 1
    return _with_zero(table.sigmas()[steps[:levels]])


def _sigmas(prior: Prior) -> Tensor:
    return prior.noise_table.sigmas() if prior.noise_table is not None else VP.sigmas()


def _with_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def _bounds(prior: Prior, levels: int, low: float | None, high: float | None) -> tuple[float, float]:
    low, high = low or prior.sigma_min, high or prior.sigma_max
    if not 0 < low < high:
        raise ConfigError("sigma_min", f"needs 0 < sigma_min < sigma_max, got {low:g} and {high:g}")
    return low, high
