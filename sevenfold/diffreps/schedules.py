"""Schedules of a sampler's noise levels: falling, in float64, ending in 0, of shape (levels + 1,).

Where bounds are not given, they are those of the prior.
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
    """Return levels with evenly spaced sigma^(1/rho) (Karras et al. 2022, equation 5).

    Args:
        levels: noise levels, the final 0 not counted.
        sigma_min, sigma_max: lowest and highest level; null: the prior's.
        rho: exponent: the larger, the more levels are low.
    """
    low, high = _bounds(prior, levels, sigma_min, sigma_max)
    # sigma_i = (smax^(1/rho) + i / (N - 1) (smin^(1/rho) - smax^(1/rho)))^rho   (Karras et al. 2022, eq. 5)
    return _with_zero(torch.linspace(high ** (1 / rho), low ** (1 / rho), levels, dtype=torch.float64) ** rho)


def log(
    *, prior: Prior, levels: Size = 30, sigma_min: Scale | None = None, sigma_max: Scale | None = None
) -> Tensor:
    """Return levels with evenly spaced log sigma.

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
    """Return levels evenly spaced in the time of the prior's noise table, or of the usual linear one.

    Args:
        levels: noise levels, the final 0 not counted.
        sigma_min, sigma_max: lowest and highest level; null: the prior's.
    """
    low, high = _bounds(prior, levels, sigma_min, sigma_max)
    sigmas = _sigmas(prior)
    first, last = time_of(torch.tensor([high, low], dtype=torch.float64), sigmas).tolist()
    times = torch.linspace(first, last, levels, dtype=torch.float64)
    # log-linear interpolation between entries of the table, the inverse of time_of
    left = times.floor().long().clamp(max=len(sigmas) - 2)
    logs = sigmas.log()
    return _with_zero(torch.lerp(logs[left], logs[left + 1], times - left).exp())


def table(*, prior: Prior, levels: Size = 30) -> Tensor:
    """Return evenly spaced entries of the prior's noise table, the last one first (Song et al. 2021, DDIM).

    Args:
        levels: noise levels, the final 0 not counted.
    """
    sigmas = _sigmas(prior)
    if not 1 <= levels <= len(sigmas):
        raise ConfigError("levels", f"the prior's table has {len(sigmas)} entries, {levels} were asked for")
    return _with_zero(sigmas[torch.linspace(len(sigmas) - 1, 0, levels).round().long()])


def trailing(*, prior: Prior, levels: Size = 30) -> Tensor:
    """Return every (T / levels)-th entry of the prior's noise table, the last one first; then 0.

    Latent models are usually sampled so (diffusers' ``timestep_spacing="trailing"``; Lin et al. 2024).

    Args:
        levels: noise levels, the final 0 not counted.
    """
    noise_table = (prior.noise_table if prior is not None else None) or VP
    count = noise_table.steps
    if not 1 <= levels <= count:
        raise ConfigError("levels", f"the table has {count} entries, {levels} were asked for")
    steps = torch.arange(count, 0, -count / levels, dtype=torch.float64).round().long() - 1
    return _with_zero(noise_table.sigmas()[steps[:levels]])


def _sigmas(prior: Prior) -> Tensor:
    return prior.noise_table.sigmas() if prior.noise_table is not None else VP.sigmas()


def _with_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def _bounds(prior: Prior, levels: int, low: float | None, high: float | None) -> tuple[float, float]:
    low, high = low or prior.sigma_min, high or prior.sigma_max
    if not 0 < low < high:
        raise ConfigError("sigma_min", f"needs 0 < sigma_min < sigma_max, got {low:g} and {high:g}")
    return low, high
