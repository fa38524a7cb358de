"""Schedules of a sampler's noise levels: falling, in float64, ending in 0, of shape (levels + 1,).

Where bounds are not given, they are those of the prior. The highest level may be infinite.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.noise_table import NoiseTable, time_of
from sevenfold.diffreps.priors.base import Prior
from sevenfold.ranges import LARGEST, Limit, Scale, Size

VP = NoiseTable()
HIGH = 80.0


def karras(
    *,
    prior: Prior,
    levels: Size = 30,
    sigma_min: Scale | None = None,
    sigma_max: Limit | None = None,
    sigma_high: Scale | None = None,
    rho: Scale = 7.0,
) -> Tensor:
    """Return levels with evenly spaced sigma^(1/rho) (Karras et al. 2022, equation 5).

    Args:
        levels: noise levels, the final 0 not counted.
        sigma_min, sigma_max: lowest and highest level; null: the prior's.
        sigma_high: the second level where the highest is infinite; null: 80 standard deviations of the data.
        rho: exponent: the larger, the more levels are low.
    """
    # sigma_i = (smax^(1/rho) + i / (N - 1) (smin^(1/rho) - smax^(1/rho)))^rho   (Karras et al. 2022, eq. 5)
    return _from_infinity(
        prior, levels, (sigma_min, sigma_max), sigma_high,
        lambda high, low, count: _line(high ** (1 / rho), low ** (1 / rho), count) ** rho,
    )  # fmt: skip


def log(
    *,
    prior: Prior,
    levels: Size = 30,
    sigma_min: Scale | None = None,
    sigma_max: Limit | None = None,
    sigma_high: Scale | None = None,
) -> Tensor:
    """Return levels with evenly spaced log sigma.

    Args:
        levels: noise levels, the final 0 not counted.
        sigma_min, sigma_max: lowest and highest level; null: the prior's.
        sigma_high: the second level where the highest is infinite; null: 80 standard deviations of the data.
    """

    def grid(high: float, low: float, count: int) -> Tensor:
        ends = torch.tensor([high, low], dtype=torch.float64).log()
        return _line(float(ends[0]), float(ends[1]), count).exp()

    return _from_infinity(prior, levels, (sigma_min, sigma_max), sigma_high, grid)


def flow(*, prior: Prior, levels: Size = 30, sigma_min: Scale | None = None, shift: Scale = 1.0) -> Tensor:
    """Return the levels t / (1 - t) of evenly spaced times t of a flow, from 1, which is infinite noise.

    Args:
        levels: noise levels, the final 0 not counted.
        sigma_min: lowest level; null: 1 / ``levels`` of the times.
        shift: k of t' = k t / (1 + (k - 1) t): above 1, more levels are high (Esser et al. 2024).
    """
    last = 1 / levels if sigma_min is None else sigma_min / (shift + sigma_min)
    time = _line(1.0, last, levels)
    # t' = k t / (1 + (k - 1) t)   (Esser et al. 2024, eq. 23), so that sigma' = k sigma
    return _with_zero(shift * time / (1 - time))


def uniform_t(
    *,
    prior: Prior,
    levels: Size = 30,
    sigma_min: Scale | None = None,
    sigma_max: Limit | None = None,
) -> Tensor:
    """Return levels evenly spaced in the time of the prior's noise table, or of the usual linear one.

    Args:
        levels: noise levels, the final 0 not counted.
        sigma_min, sigma_max: lowest and highest level; null: the prior's.
    """
    sigmas = _sigmas(prior)
    sigmas = sigmas[sigmas.isfinite()]

    def grid(high: float, low: float, count: int) -> Tensor:
        first, last = time_of(torch.tensor([high, low], dtype=torch.float64), sigmas).tolist()
        times = _line(first, last, count)
        # log-linear interpolation between entries of the table, the inverse of time_of
        left = times.floor().long().clamp(max=len(sigmas) - 2)
        logs = sigmas.log()
        return torch.lerp(logs[left], logs[left + 1], times - left).exp()

    return _from_infinity(prior, levels, (sigma_min, sigma_max), float(sigmas[-1]), grid)


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


def _line(first: float, last: float, count: int) -> Tensor:
    return torch.linspace(first, last, count, dtype=torch.float64)


def _from_infinity(
    prior: Prior,
    levels: int,
    bounds: tuple[float | None, float | None],
    second: float | None,
    grid: Callable[[float, float, int], Tensor],
) -> Tensor:
    """Return a grid between bounds; from an infinite one, infinity and then the grid from ``second`` down."""
    low, high = bounds[0] or prior.sigma_min, bounds[1] or prior.sigma_max
    if not math.isinf(high):
        return _with_zero(grid(*_rising(low, high), levels))
    # The step from infinity is exact where D is constant, as it is far above the data's deviation.
    ends = _rising(low, second or HIGH * prior.std)
    return _with_zero(torch.cat([torch.full((1,), math.inf, dtype=torch.float64), grid(*ends, levels - 1)]))


def _rising(low: float, high: float) -> tuple[float, float]:
    """Return (high, low) after checking them."""
    if not 0 < low < high <= LARGEST:
        raise ConfigError(
            "sigma_min", f"needs 0 < sigma_min < sigma_max <= {LARGEST}, got {low:g} and {high:g}"
        )
    return high, low
