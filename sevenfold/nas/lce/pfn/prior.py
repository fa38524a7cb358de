"""Tasks of learning curves drawn from a prior, all at once and on the device that learns from them."""

import functools
import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor

LONGEST = 200
CONTEXT_SIZES = (0, 0, 1, 2, 5, 10, 20, 50, 100)
SIZE_WEIGHTS = (0.07, 0.05, 0.06, 0.08, 0.12, 0.17, 0.17, 0.16, 0.12)
QUERIES = 48
SLOTS = max(CONTEXT_SIZES)
"""Places for known curves; those beyond a task's context size are empty."""
TRAITS, LATENT, HIDDEN = 10, 5, 16


class Tasks(NamedTuple):
    """B tasks of N curves: the first ``SLOTS`` are known, where ``known`` says so, the rest are queries."""

    values: Tensor
    """Curves (B, N, T), fractions; epochs after a task's last repeat it."""
    epochs: Tensor
    """Length of the schedule, (B,)."""
    cuts: Tensor
    """Epochs seen of each curve, (B, N), from 1."""
    horizons: Tensor
    """Epoch to predict, (B, N), after the cut."""
    known: Tensor
    """Which places hold a known curve, (B, SLOTS)."""


class Draw:
    """Random numbers of one generator, on its device."""

    def __init__(self, generator: Generator) -> None:
        self.generator, self.device = generator, generator.device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return uniform numbers."""
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.device)

    def log_uniform(self, *shape: int, low: float, high: float) -> Tensor:
        """Return numbers whose logarithm is uniform."""
        return self.uniform(*shape, low=math.log(low), high=math.log(high)).exp()

    def normal(self, *shape: int) -> Tensor:
        """Return standard normal numbers."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def chosen(self, share: Tensor | float, *shape: int) -> Tensor:
        """Return which places are chosen, each with probability ``share``."""
        return self.uniform(*shape) < share


def draw_tasks(count: int, generator: Generator) -> Tasks:
    """Draw tasks; no loop over tasks or curves, no wait for the device.

    >>> tasks = draw_tasks(2, torch.Generator().manual_seed(0))
    >>> tuple(tasks.values.shape), bool((tasks.horizons > tasks.cuts).all())
    ((2, 148, 200), True)
    """
    draw = Draw(generator)
    epochs = draw.log_uniform(count, low=10, high=LONGEST).round().clamp(10, LONGEST)
    sizes, weights = _sizes(draw.device)
    place = torch.bucketize(draw.uniform(count) * weights[-1], weights).clamp(max=len(sizes) - 1)
    known = torch.arange(SLOTS, device=draw.device) < sizes[place][:, None]
    n = SLOTS + QUERIES
    # Beta(1, 1.6) by its inverse distribution function, 1 - (1 - U)^(1 / 1.6).
    one = draw.chosen(0.6, count, 1)
    share = torch.where(one, 1 - (1 - draw.uniform(count, 1)) ** (1 / 1.6), draw.uniform(count, n))
    end = epochs[:, None]
    cuts = torch.minimum((share * end).round().clamp(min=1), end - 1)
    ahead = (draw.uniform(count, n) * (end - cuts)).floor() + 1
    horizons = torch.where(one, end, torch.minimum(cuts + ahead, end))
    return Tasks(draw_curves(epochs, n, draw), epochs, cuts.long(), horizons.long(), known)


@functools.cache
def _sizes(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return context sizes and their cumulative weights, copied once: every copy waits for the device."""
    return torch.tensor(CONTEXT_SIZES, device=device), torch.tensor(SIZE_WEIGHTS, device=device).cumsum(0)


def draw_traits(tasks: int, curves: int, draw: Draw) -> Tensor:
    """Return traits (tasks, curves, 10), standard over the curves of a task, part shared, part private.

    >>> traits = draw_traits(3, 50, Draw(torch.Generator().manual_seed(0)))
    >>> tuple(traits.shape)
    (3, 50, 10)
    """
    # z -> random tanh network -> traits: hyperparameters act on curves by a smooth map (Mueller 2022).
    z = draw.normal(tasks, curves, LATENT)
    hidden = torch.tanh(z @ draw.normal(tasks, LATENT, HIDDEN) + draw.normal(tasks, 1, HIDDEN))
    shared = hidden @ draw.normal(tasks, HIDDEN, TRAITS)
    shared = (shared - shared.mean(1, keepdim=True)) / shared.std(1, keepdim=True)
    rho = draw.uniform(tasks, 1, 1).sqrt()
    return rho * shared + (1 - rho**2).sqrt() * draw.normal(tasks, curves, TRAITS)


def learning_shape(e: Tensor, t: Tensor, a: Tensor, b: Tensor, w: Tensor) -> Tensor:
    """Return w (1 - e^{-.693 (e/t)^b}) + (1 - w) (1 - (1 + (2^{1/a} - 1) e/t)^{-a}), half of it at e = t.

    >>> half = torch.tensor(0.5)
    >>> float(learning_shape(torch.tensor(3.0), torch.tensor(3.0), half, half, half).mul(100).round())
    50.0
    """
    stretched = 1 - torch.exp(-math.log(2) * (e / t) ** b)
    power = 1 - (1 + (2 ** (1 / a) - 1) * e / t) ** -a
    return w * stretched + (1 - w) * power


def draw_curves(epochs: Tensor, n: int, draw: Draw) -> Tensor:
    """Return curves (B, n, 200) of tasks with schedules of ``epochs`` (B,).

    >>> curves = draw_curves(torch.tensor([20.0]), 4, Draw(torch.Generator().manual_seed(0)))
    >>> tuple(curves.shape), bool(curves.isfinite().all())
    ((1, 4, 200), True)
    """
    count, last = len(epochs), epochs[:, None, None]
    e = torch.arange(1, LONGEST + 1, device=draw.device).expand(count, 1, -1).minimum(last)
    trait = draw_traits(count, n, draw)[..., None].unbind(2)  # each (B, n, 1)
    chance = draw.uniform(count, 1, 1, high=0.5)
    span = (1 - chance) * draw.uniform(count, 1, 1, low=0.1)
    spread = span * draw.log_uniform(count, 1, 1, low=0.004, high=0.3)
    k = draw.uniform(count, 1, 1, high=1.3).clamp(min=1e-3)
    # end = top - s_A (e^{kg} - 1) / k: many good trainings, a tail of bad ones.
    end = (chance + span - spread * torch.expm1(k * trait[0]) / k).maximum(chance)
    half_time = 0.3 * (last / 0.6) ** draw.uniform(count, 1, 1) * (0.4 * trait[1]).exp()
    a, b = (0.5 * trait[2]).exp(), (0.3 * trait[3]).exp()
    w = torch.sigmoid(trait[4] + draw.normal(count, 1, 1))
    shape = learning_shape(e, half_time, a, b, w) / learning_shape(last, half_time, a, b, w)
    annealed = draw.chosen(0.6, count, 1, 1)
    done = (1 - torch.cos(math.pi * e / last)) / 2
    gain = annealed * draw.uniform(count, 1, 1, high=0.5) * torch.sigmoid(trait[5])
    q = draw.uniform(count, 1, 1, low=1, high=3)
    curve = chance + (end - chance) * ((1 - gain) * shape + gain * done**q)
    start = draw.uniform(count, 1, 1, low=0.3)
    fall = draw.chosen(0.2, count, 1, 1) * draw.uniform(count, 1, 1, high=0.2) * torch.sigmoid(trait[6])
    curve = curve - fall * (end - chance) * ((e / last - start) / (1 - start + 1e-3)).clamp(min=0)
    rate = torch.where(annealed, (1 - done).clamp(min=0.05), 1.0)
    curve = curve + _noise(count, n, span, draw) * rate * (0.4 * trait[7]).exp()
    curve = _accidents(curve, e / last, chance, span, draw)
    clipped = draw.chosen(0.5, count, 1, 1)
    curve = torch.where(clipped, curve.clamp(0, 1), curve)
    # After its last epoch a curve stays where it is, so that padding is never an outlier.
    return curve.gather(2, (e.long() - 1).expand_as(curve))


def _noise(count: int, n: int, span: Tensor, draw: Draw) -> Tensor:
    """Return AR(1) noise, one-sided in half of the tasks."""
    size = span * draw.log_uniform(count, 1, 1, low=0.0008, high=0.12)
    phi = draw.uniform(count, 1, 1, high=0.8)
    lag = torch.arange(LONGEST, device=draw.device)
    lag = lag[:, None] - lag[None]
    # x_e = phi x_{e-1} + sqrt(1 - phi^2) w_e as one product with the triangle phi^(i - j).
    kernel = torch.where(lag >= 0, phi ** lag.clamp(min=0), 0.0)
    white = (1 - phi**2).sqrt() * draw.normal(count, n, LONGEST)
    noise = size * (white @ kernel.transpose(1, 2))
    return torch.where(draw.chosen(0.5, count, 1, 1), -noise.abs(), noise)


def _accidents(curve: Tensor, progress: Tensor, chance: Tensor, span: Tensor, draw: Draw) -> Tensor:
    """Let some trainings stay at chance, diverge to it, or have spikes."""
    count, n, _ = curve.shape
    jitter = chance + 0.003 * span * draw.normal(count, n, LONGEST)
    failed = draw.chosen(draw.uniform(count, 1, 1, high=0.15), count, n, 1)
    broken = draw.chosen(draw.uniform(count, 1, 1, high=0.03), count, n, 1)
    spiky = draw.chosen(draw.uniform(count, 1, 1, high=0.03), count, n, LONGEST)
    curve = curve - spiky * span * draw.uniform(count, n, LONGEST, high=0.5)
    return torch.where(failed | (broken & (progress > draw.uniform(count, n, 1))), jitter, curve)
