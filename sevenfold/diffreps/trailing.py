"""The spacing of noise levels that latent models are usually sampled with."""

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.noise_table import NoiseTable
from sevenfold.diffreps.priors.base import Prior
from sevenfold.ranges import Size


def trailing(*, prior: Prior, levels: Size = 30) -> Tensor:
    """Take every (T / levels)-th entry of the prior's noise table, its last one first; then 0 (diffusers'
    ``timestep_spacing="trailing"``).

    Args:
        levels: noise levels, the final 0 not counted.
    """
    table = (prior.noise_table if prior is not None else None) or NoiseTable()
    if not 1 <= levels <= table.steps:
        raise ConfigError("levels", f"the table has {table.steps} entries, {levels} were asked for")
    steps = torch.arange(table.steps, 0, -table.steps / levels, dtype=torch.float64).round().long() - 1
    sigmas = table.sigmas()[steps[:levels]]
    return torch.cat([sigmas, sigmas.new_zeros(1)])
