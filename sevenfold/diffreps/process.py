"""Noising processes x = a x0 + s e in continuous time, for training and for networks as denoisers."""

import math
from collections.abc import Mapping
from typing import Literal, Protocol

import torch
from torch import Tensor

from sevenfold.diffreps.noise_table import NoiseTable, alpha, time_of

ProcessName = Literal["table", "cosine", "flow"]


class Process(Protocol):
    """What trainings and priors ask of a noising process.

    Attributes:
        bounds: the lowest and highest noise level sigma = s / a of a sampler.
    """

    bounds: tuple[float, float]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the times (count,) of a training step, on the generator's device."""

    def levels(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and s of times (N,)."""

    def time_of(self, sigma: Tensor) -> Tensor:
        """Return the time (N,) of noise levels sigma = s / a."""

    def signal(self, sigma: Tensor) -> Tensor:
        """Return a (N,) of noise levels."""


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

    def signal(self, sigma: Tensor) -> Tensor:
        """Return 1 / sqrt(1 + sigma^2)."""
        return alpha(sigma)


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

    def signal(self, sigma: Tensor) -> Tensor:
        """Return 1 / sqrt(1 + sigma^2)."""
        return alpha(sigma)


class Flow:
    """a = 1 - t, s = t: straight paths; training draws logit-normal times (Esser et al. 2024, section 3.1).

    Example:
        >>> Flow().time_of(torch.tensor([3.0]))
        tensor([0.7500])
    """

    bounds = (0.01, 200.0)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw times of (0, 1) whose logit is standard normal."""
        return torch.randn(count, generator=generator, device=generator.device).sigmoid()

    def levels(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and s of times in [0, 1]."""
        return 1 - time, time

    def time_of(self, sigma: Tensor) -> Tensor:
        """Return t with t / (1 - t) = sigma."""
        return sigma / (1 + sigma)

    def signal(self, sigma: Tensor) -> Tensor:
        """Return 1 / (1 + sigma)."""
        return 1 / (1 + sigma)


def make_process(name: ProcessName, table: NoiseTable) -> Process:
    """Return the process of a name; ``table`` matters to the process ``table`` alone."""
    others: Mapping[str, type[Cosine] | type[Flow]] = {"cosine": Cosine, "flow": Flow}
    return others[name]() if name in others else Table(table)
