"""Noising processes x = a x0 + s e, for training and for networks as denoisers."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.noise_table import NoiseTable, alpha, time_of
from sevenfold.errors import InputError
from sevenfold.ranges import AtLeastTwo, OpenShare, Positive, Scale, Share

ProcessName = Literal["table", "cosine", "flow"]


class Process(Protocol):
    """What priors ask of a noising process.

    Attributes:
        bounds: the lowest and highest noise level sigma = s / a of a sampler; infinite where a ends in 0.
    """

    bounds: tuple[float, float]

    def time_of(self, sigma: Tensor) -> Tensor:
        """Return the time (N,) of noise levels sigma = s / a, which may be infinite."""

    def coordinates(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and s (N,) of noise levels, which may be infinite."""


class TrainingProcess(Process, Protocol):
    """What trainings ask of a noising process besides."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the times (count,) of a training step, on the generator's device."""

    def levels(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and s of times (N,)."""


def preserving(sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Return a and s with s / a = ``sigma`` and a^2 + s^2 = 1, also at infinity."""
    return alpha(sigma), alpha(1 / sigma)


class Table:
    """The steps of a noise table; training draws them uniformly (Ho et al. 2020)."""

    def __init__(self, table: NoiseTable) -> None:
        self.alphas_bar, self.table = table.alphas_bar(), table
        self.sigmas = table.sigmas()
        self.bounds = (float(self.sigmas[0]), float(self.sigmas[-1]))

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw whole steps."""
        return torch.randint(len(self.alphas_bar), (count,), generator=generator, device=generator.device)

    def levels(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return sqrt(abar_t) and sqrt(1 - abar_t)."""
        if self.alphas_bar.device != time.device:
            self.alphas_bar = self.alphas_bar.to(time.device)  # once: a step must not wait for a copy
        alphas_bar = self.alphas_bar[time]
        return alphas_bar.sqrt(), (1 - alphas_bar).sqrt()

    def time_of(self, sigma: Tensor) -> Tensor:
        """Return fractional steps."""
        return time_of(sigma, self.sigmas)

    def coordinates(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and s with a^2 + s^2 = 1."""
        return preserving(sigma)


class Cosine:
    """a = cos(pi t / 2), s = sin(pi t / 2); training draws the angle uniformly (Salimans & Ho 2022).

    Example:
        >>> a, s = Cosine().levels(torch.tensor([0.5]))
        >>> float(a), float(s)
        (0.7071067690849304, 0.7071067690849304)
    """

    bounds = (0.01, 200.0)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw times of [0, 1) uniformly."""
        return torch.rand(count, generator=generator, device=generator.device)

    def levels(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and s of times in [0, 1]."""
        angle = time * (math.pi / 2)
        return angle.cos(), angle.sin()

    def time_of(self, sigma: Tensor) -> Tensor:
        """Return t with tan(pi t / 2) = sigma."""
        return sigma.atan() * (2 / math.pi)

    def coordinates(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and s with a^2 + s^2 = 1."""
        return preserving(sigma)


class VPLinear:
    """abar(t) = exp(-first t - (last - first) t^2 / 2), t in [0, 1]: beta(t) is linear (Song et al. 2021).

    Args:
        first, last: beta(0) and beta(1).

    Example:
        >>> process = VPLinear()
        >>> round(float(process.time_of(process.sigma_at(torch.tensor(0.5).double()))), 9)
        0.5
    """

    def __init__(self, *, first: Positive = 0.1, last: Positive = 20.0) -> None:
        if first >= last:
            raise ConfigError("first", f"needs first < last, got {first:g} and {last:g}")
        self.first, self.slope = first, last - first
        low, high = self.sigma_at(torch.tensor([1e-3, 1.0], dtype=torch.float64)).tolist()
        self.bounds = (low, high)

    def sigma_at(self, time: Tensor) -> Tensor:
        """Return the noise level of times in [0, 1]."""
        return (self.first * time + self.slope * time**2 / 2).expm1().sqrt()

    def time_of(self, sigma: Tensor) -> Tensor:
        """Return t with abar(t) = 1 / (1 + sigma^2)."""
        # slope t^2 / 2 + first t = log(1 + sigma^2), solved without cancellation   (Song et al. 2021, eq. 33)
        level = (sigma**2).log1p()
        return 2 * level / (self.first + (self.first**2 + 2 * self.slope * level).sqrt())

    def coordinates(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and s with a^2 + s^2 = 1."""
        return preserving(sigma)


class Flow:
    """a = 1 - t, s = t: straight paths; training draws logit-normal times (Esser et al. 2024, section 3.1).

    Example:
        >>> Flow().time_of(torch.tensor([3.0, torch.inf]))
        tensor([0.7500, 1.0000])
    """

    bounds = (0.01, math.inf)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw times of (0, 1) whose logit is standard normal."""
        return torch.randn(count, generator=generator, device=generator.device).sigmoid()

    def levels(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and s of times in [0, 1]."""
        return 1 - time, time

    def time_of(self, sigma: Tensor) -> Tensor:
        """Return t with t / (1 - t) = sigma."""
        return 1 / (1 + 1 / sigma)

    def coordinates(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return 1 - t and t."""
        return 1 / (1 + sigma), 1 / (1 + 1 / sigma)


class VE:
    """a = 1, s = sigma (Song et al. 2021); the network's time is sigma, or ln(sigma) / 4.

    Args:
        time: what the network is given: ``sigma``, or ``log_sigma``, a quarter of its logarithm.
        low, high: noise levels of a sampler.
    """

    def __init__(
        self,
        *,
        time: Literal["sigma", "log_sigma"] = "log_sigma",
        low: Scale = 0.01,
        high: Scale = 100.0,
    ) -> None:
        if low >= high:
            raise ConfigError("low", f"needs low < high, got {low:g} and {high:g}")
        self.time, self.bounds = time, (low, high)

    def time_of(self, sigma: Tensor) -> Tensor:
        """Return sigma or ln(sigma) / 4."""
        # c_noise = ln(sigma) / 4   (Karras et al. 2022, table 1)
        return sigma if self.time == "sigma" else sigma.log() / 4

    def coordinates(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return 1 and sigma."""
        return torch.ones_like(sigma), sigma


class EDM(VE):
    """The process of the prediction ``edm``, with its scales of input and output (Karras et al. 2022).

    Args:
        std: standard deviation of the data in these scales (sigma_data).
        low, high: noise levels of a sampler.
    """

    def __init__(self, *, std: Scale = 0.5, low: Scale = 0.002, high: Scale = 80.0) -> None:
        super().__init__(time="log_sigma", low=low, high=high)
        self.std = std


def vp(
    *,
    betas: Literal["linear", "scaled_linear", "cosine"] = "linear",
    first: OpenShare = 1e-4,
    last: OpenShare = 0.02,
    steps: AtLeastTwo = 1000,
    zero_snr: bool = False,
    abar: list[Share] | None = None,
    file: str | None = None,
) -> Table:
    """Return the process of a discrete noise table (Ho et al. 2020).

    Args:
        betas, first, last, steps: of the table.
        zero_snr: rescale the table so that its last entry has no signal (Lin et al. 2024).
        abar: a table in place of betas, falling from 1 towards 0; null: none.
        file: text file with such a table, one number a line; null: none.
    """
    if file is not None:
        if abar is not None:
            raise ConfigError("file", "the table is given by 'abar' already; leave one of them out")
        try:
            abar = [float(line) for line in Path(file).read_text().split()]
        except (OSError, ValueError) as error:
            raise InputError(f"'{file}' is no table of numbers, one a line: {error}") from None
    return Table(NoiseTable(betas, first, last, steps, zero_snr, abar))


def make_process(name: ProcessName, table: NoiseTable) -> TrainingProcess:
    """Return the process of a name; ``table`` matters to the process ``table`` alone."""
    others: Mapping[str, type[Cosine] | type[Flow]] = {"cosine": Cosine, "flow": Flow}
    return others[name]() if name in others else Table(table)
