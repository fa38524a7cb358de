"""Discrete noise tables of variance-preserving models, and conversions between their coordinates and ours.

The rest of this family uses sigma space: z = x / a, sigma = s / a for the marginal x = a x0 + s e.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.ranges import AtLeastTwo, OpenShare, Share

Prediction = Literal["eps", "x0", "v", "flow", "score", "edm"]


@dataclass(frozen=True)
class NoiseTable:
    """The noise table abar_t = prod(1 - beta), (steps,), of a discrete-time model (Ho et al. 2020).

    Args:
        betas: ``linear`` from first to last, ``scaled_linear`` (linear in the root), or ``cosine`` (without
            first and last).
        first, last: the first and the last beta.
        steps: length of the table.
        zero_snr: rescale the table so that its last entry has no signal (Lin et al. 2024).
        abar: a given table, falling from 1 towards 0, in place of betas; null: none.

    Example:
        >>> NoiseTable(betas="cosine", steps=100).sigmas().shape
        torch.Size([100])
    """

    betas: Literal["linear", "scaled_linear", "cosine"] = "linear"
    first: OpenShare = 1e-4
    last: OpenShare = 0.02
    steps: AtLeastTwo = 1000
    zero_snr: bool = False
    abar: list[Share] | None = None

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ConfigError("first", f"needs 0 < first <= last < 1, got {self.first:g} and {self.last:g}")
        if self.abar is None:
            return
        levels = [1.0, *self.abar]
        if len(self.abar) < 2 or any(after >= before for before, after in pairwise(levels)):
            raise ConfigError("abar", "needs two or more numbers that fall from below 1 to 0 or above")
        object.__setattr__(self, "steps", len(self.abar))

    def alphas_bar(self) -> Tensor:
        """Return abar_t in float64, shape (steps,)."""
        table = self._table()
        if not self.zero_snr:
            return table
        # sqrt(abar) is shifted so that its last entry is 0 and scaled so that its first one stays
        # (Lin et al. 2024, algorithm 1)
        root = table.sqrt()
        return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2

    def _table(self) -> Tensor:
        if self.abar is not None:
            return torch.tensor(self.abar, dtype=torch.float64)
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
        """Return sigma_t = sqrt((1 - abar_t) / abar_t), rising, float64, shape (steps,); inf at abar 0."""
        alphas_bar = self.alphas_bar()
        return ((1 - alphas_bar) / alphas_bar).sqrt()


def time_of(sigma: Tensor, sigmas: Tensor) -> Tensor:
    """Return the fractional index of ``sigma`` in the rising table: linear in log sigma, clamped to it."""
    logs, log_sigma = sigmas.log(), sigma.to(sigmas).log()
    right = torch.searchsorted(logs, log_sigma.contiguous()).clamp(1, len(logs) - 1)
    left = logs[right - 1]
    inner = (right - 1 + (log_sigma - left) / (logs[right] - left)).clamp(0, len(logs) - 1)
    # no interpolation up to a last entry without signal, whose logarithm is infinite
    return torch.where(log_sigma == math.inf, float(len(logs) - 1), inner)


def alpha(sigma: Tensor) -> Tensor:
    """Return a of a variance-preserving marginal whose noise-to-signal ratio is ``sigma``."""
    # a^2 + s^2 = 1 and sigma = s / a
    return (1 + sigma**2).rsqrt()


def denoised(
    output: Tensor, x: Tensor, a: Tensor, s: Tensor, prediction: Prediction, std: float = 0.5
) -> Tensor:
    """Return E[x0 | x] from a network's output at x = a x0 + s e; ``a`` and ``s`` broadcast against images.

    ``std`` is the data's standard deviation in the prediction ``edm``.
    """
    if prediction == "x0":
        return output
    if prediction == "eps":
        return (x - s * output) / a
    if prediction == "score":  # a D = x + s^2 score   (Efron 2011, Tweedie's formula)
        return (x + s**2 * output) / a
    if prediction == "flow":  # o = e - x0: x - s o = (a + s) x0   (Lipman et al. 2023)
        return (x - s * output) / (a + s)
    if prediction == "edm":  # D = c_skip x + c_out F   (Karras et al. 2022, table 1)
        total = s**2 + std**2
        return std**2 / total * x + s * std * total.rsqrt() * output
    # v = a eps - s x0: x0 = (a x - s v) / (a^2 + s^2)   (Salimans & Ho 2022)
    return (a * x - s * output) / (a**2 + s**2)


def output_of(
    x0: Tensor, x: Tensor, a: Tensor, s: Tensor, prediction: Prediction, std: float = 0.5
) -> Tensor:
    """Return the output of a network for the denoised image ``x0``: the inverse of :func:`denoised`."""
    eps = (x - a * x0) / s
    if prediction == "edm":
        total = s**2 + std**2
        return (x0 - std**2 / total * x) / (s * std * total.rsqrt())
    others = {"x0": x0, "eps": eps, "score": -eps / s, "flow": eps - x0, "v": a * eps - s * x0}
    return others[prediction]


def input_of(x: Tensor, s: Tensor, prediction: Prediction, std: float = 0.5) -> Tensor:
    """Return what a network is given for x: c_in x in the prediction ``edm``, otherwise x."""
    # c_in = 1 / sqrt(sigma^2 + sigma_data^2)   (Karras et al. 2022, table 1)
    return x * (s**2 + std**2).rsqrt() if prediction == "edm" else x


def score(x0: Tensor, z: Tensor, sigma: Tensor) -> Tensor:
    """Return the gradient of the log marginal at noise ``sigma``, in sigma space; VP's is this over a."""
    # grad log p_sigma(z) = (D(z, sigma) - z) / sigma^2   (Karras et al. 2022, eq. 3)
    return (x0 - z) / sigma**2
