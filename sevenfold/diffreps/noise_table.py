"""Discrete noise tables of variance-preserving models, and conversions between their coordinates and ours.

The rest of this family uses sigma space: z = x / a, sigma = s / a for the marginal x = a x0 + s e.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.ranges import AtLeastTwo, OpenShare

Prediction = Literal["eps", "x0", "v", "flow"]


@dataclass(frozen=True)
class NoiseTable:
    """The noise table abar_t = prod(1 - beta), (steps,), of a discrete-time model (Ho et al. 2020).

    Args:
        betas: ``linear`` from first to last, ``scaled_linear`` (linear in the root), or ``cosine`` (without
            first and last).
        first, last: the first and the last beta.
        steps: length of the table.

    Example:
        >>> NoiseTable(betas="cosine", steps=100).sigmas().shape
        torch.Size([100])
    """

    betas: Literal["linear", "scaled_linear", "cosine"] = "linear"
    first: OpenShare = 1e-4
    last: OpenShare = 0.02
    steps: AtLeastTwo = 1000

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ConfigError("first", f"needs 0 < first <= last < 1, got {self.first:g} and {self.last:g}")

    def alphas_bar(self) -> Tensor:
        """Return abar_t in float64, shape (steps,)."""
        t = torch.arange(self.steps, dtype=torch.float64)
        # abar(t) ~ cos^2((t / T + s) / (1 + s) pi / 2), s = .008, beta at most .999
        # (Nichol & Dhariwal 2021, eq. 17)
        if self.betas == "cosine":
            level = torch.cos(
                ((torch.arange(self.steps + 1).double() / self.steps) + 0.008) / 1.008 * math.pi / 2
            )
            beta = (1 - (level[1:] / level[:-1]) ** 2).clamp(max=0.999)
        else:
            power = 2 if self.betas == "scaled_linear" else 1
            first, last = self.first ** (1 / power), self.last ** (1 / power)
            beta = (first + (last - first) * t / (self.steps - 1)) ** power
        # abar_t = prod_{s <= t} (1 - beta_s)   (Ho et al. 2020)
        return (1 - beta).cumprod(0)

    def sigmas(self) -> Tensor:
        """Return sigma_t = sqrt((1 - abar_t) / abar_t), rising, float64, shape (steps,)."""
        alphas_bar = self.alphas_bar()
        return ((1 - alphas_bar) / alphas_bar).sqrt()


def time_of(sigma: Tensor, sigmas: Tensor) -> Tensor:
    """Return the fractional index of ``sigma`` in the rising table: linear in log sigma, clamped to it."""
    logs, log_sigma = sigmas.log(), sigma.to(sigmas).log()
    right = torch.searchsorted(logs, log_sigma.contiguous()).clamp(1, len(logs) - 1)
    left = logs[right - 1]
    return (right - 1 + (log_sigma - left) / (logs[right] - left)).clamp(0, len(logs) - 1)


def alpha(sigma: Tensor) -> Tensor:
    """Return a of a variance-preserving marginal whose noise-to-signal ratio is ``sigma``."""
    # a^2 + s^2 = 1 and sigma = s / a
    return (1 + sigma**2).rsqrt()


def denoised(
    output: Tensor, z: Tensor, sigma: Tensor, prediction: Prediction, a: Tensor | None = None
) -> Tensor:
    """Return E[x0 | z] from a model's output at x = a z; ``sigma`` and ``a`` broadcast against the images.

    ``a`` is by default that of a variance-preserving process.
    """
    # eps: x0 = z - sigma eps;  v = a eps - s x0: x0 = (a x - s v) / (a^2 + s^2)   (Salimans & Ho 2022)
    if prediction == "x0":
        return output
    if prediction == "eps":
        return z - sigma * output
    a = alpha(sigma) if a is None else a
    if prediction == "flow":  # o = e - x0: x - s o = (a + s) x0   (Lipman et al. 2023)
        return (z - sigma * output) / (1 + sigma)
    return (a * (a * z) - sigma * a * output) / (a**2 * (1 + sigma**2))


def output_of(
    x0: Tensor, z: Tensor, sigma: Tensor, prediction: Prediction, a: Tensor | None = None
) -> Tensor:
    """Return the output of a model for the denoised image ``x0``: the inverse of :func:`denoised`."""
    if prediction == "x0":
        return x0
    eps = (z - x0) / sigma
    if prediction == "eps":
        return eps
    if prediction == "flow":
        return eps - x0
    a = alpha(sigma) if a is None else a
    return a * eps - sigma * a * x0  # v = a e - s x0


def score(x0: Tensor, z: Tensor, sigma: Tensor) -> Tensor:
    """Return the gradient of the log marginal at noise ``sigma``, in sigma space; VP's is this over a."""
    # grad log p_sigma(z) = (D(z, sigma) - z) / sigma^2   (Karras et al. 2022, eq. 3)
    return (x0 - z) / sigma**2
