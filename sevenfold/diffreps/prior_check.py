"""What is wrong with a prior's configuration: its denoiser against the best linear one, and other readings.

A network answers under any convention: read with another range, table or prediction it gives images all the
same, wrong ones. Its own error tells: it is least where it is read as it was trained.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sevenfold.config import ConfigError
from sevenfold.diffreps.noise_table import NoiseTable, Prediction
from sevenfold.diffreps.priors.base import UNCONDITIONAL, Condition, Prior
from sevenfold.diffreps.priors.network import NetworkPrior
from sevenfold.diffreps.process import Cosine, Flow, Process, Table, VPLinear
from sevenfold.diffreps.sources import Images
from sevenfold.seeding import torch_generator

CURVE = (0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 3.5, 6.0, 12.0, 30.0)
JUDGED, WORSE = (0.1, 2.0), 1.1
SEARCHED = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
LOWEST, CERTAIN, MARGIN = 5, 2.0, 0.02
RANGES = ((0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5), (0.0, 255.0))
PREDICTIONS: tuple[Prediction, ...] = ("eps", "x0", "v", "flow")
TABLES = (
    NoiseTable(),
    NoiseTable("scaled_linear", 0.00085, 0.012),
    NoiseTable("cosine"),
    NoiseTable(last=0.01),
)
TURNS: dict[str, Callable[[Tensor], Tensor]] = {
    "as given": lambda images: images,
    "transposed": lambda images: images.mT,
    "upside down": lambda images: images.flip(-2),
    "mirrored": lambda images: images.flip(-1),
    "turned by 180 degrees": lambda images: images.flip(-1, -2),
}


@dataclass(frozen=True)
class Reading:
    """One hypothesis about a network's conventions, and about those of the images beside it.

    Args:
        prior: the network with process, prediction and times.
        span: the values of the images' lowest and highest value; falling where they are inverted.
        turn: a name of ``TURNS``.
        channels: whether the order of channels is reversed.
        line: the change that leads here.
        low: judge this reading at the lowest noise levels, where times matter.
    """

    prior: NetworkPrior
    span: tuple[float, float]
    turn: str = "as given"
    channels: bool = False
    line: str = "as configured"
    low: bool = False

    def images(self, real: Images) -> Tensor:
        """Return real images as the network is to see them."""
        images = TURNS[self.turn](real.onto(self.span).images)
        return images.flip(1) if self.channels else images


class Negated(nn.Module):
    """A network with the opposite sign."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *parts: Tensor) -> Tensor:
        """Return minus the output."""
        output: Tensor = self.network(*parts)
        return -output


def changed(prior: NetworkPrior, **options: Any) -> NetworkPrior:
    """Return a prior of the same network with other conventions."""
    own = {
        name: getattr(prior, name)
        for name in ("prediction", "shape", "classes", "null_label", "time_base", "time_scale", "whole_times")
    }
    network, process = options.pop("network", prior.network), options.pop("process", prior.process)
    return NetworkPrior(network, process, data_range=prior.range or (-1.0, 1.0), **{**own, **options})


def alternatives(reading: Reading) -> Iterator[Reading]:
    """Yield readings that differ from one in a single convention."""
    prior = reading.prior
    for name in PREDICTIONS:
        if name != prior.prediction and not _unreadable(prior, name):
            yield replace(reading, prior=changed(prior, prediction=name), line=f"prior.prediction={name}")
    yield replace(
        reading, prior=changed(prior, network=Negated(prior.network)), line="the output's sign is reversed"
    )
    for span in (*RANGES, reading.span[::-1]):
        if span != reading.span:
            inverted = span[0] > span[1]
            text = "the images are inverted" if inverted else f"prior.data_range=[{span[0]:g}, {span[1]:g}]"
            yield replace(reading, span=span, line=text)
    for text, process in _processes(prior.process):
        yield replace(reading, prior=changed(prior, process=process), line=f"prior.process={text}")
    for scale in (1.0, 1e-3, 1e3):
        if scale != prior.time_scale:
            line = f"prior.time_scale={scale:g}"
            yield replace(reading, prior=changed(prior, time_scale=scale), line=line)
    for turn in TURNS:
        if turn != reading.turn and (turn != "transposed" or prior.shape[1] == prior.shape[2]):
            yield replace(reading, turn=turn, line=f"the images are {turn}")
    if prior.shape[0] == 3:
        yield replace(reading, channels=not reading.channels, line="the channels' order is reversed")
    if isinstance(prior.process, Table):
        for base in (-1.0, 0.0, 1.0):
            if base != prior.time_base:
                line = f"prior.time_base={base:g}"
                yield replace(reading, prior=changed(prior, time_base=base), line=line, low=True)


def _unreadable(prior: NetworkPrior, prediction: str) -> bool:
    return prediction == "eps" and prior.noise_table is not None and math.isinf(prior.process.bounds[1])


def _processes(process: Process) -> Iterator[tuple[str, Process]]:
    if isinstance(process, Table):
        for table in TABLES:
            other = replace(table, steps=process.table.steps)
            if other != process.table:
                ends = "" if table.betas == "cosine" else f", first: {table.first:g}, last: {table.last:g}"
                yield f"{{name: vp, betas: {table.betas}{ends}}}", Table(other)
        return
    kinds: dict[str, type[Cosine] | type[Flow] | type[VPLinear]] = {
        "cosine": Cosine, "flow": Flow, "vp_linear": VPLinear
    }  # fmt: skip
    for name, kind in kinds.items():
        if not isinstance(process, kind):
            yield f"{{name: {name}}}", kind()


def classes_of(prior: Prior, labels: Tensor) -> Tensor:
    """Return the labels of images as classes of the prior, -1 where it has none."""
    if not prior.classes:
        return torch.full_like(labels, UNCONDITIONAL)
    none = UNCONDITIONAL if prior.unconditional else 0
    return labels.where((labels >= 0) & (labels < prior.classes), torch.full_like(labels, none))


def errors_at(prior: Prior, images: Tensor, labels: Tensor, sigmas: Tensor, seed: int) -> Tensor:
    """Return the mean squared error (L, N) of denoised images, each with other noise."""
    levels = len(sigmas)
    noise = torch.randn(levels, *images.shape, generator=torch_generator(seed, "prior check")).to(images)
    many = images.expand(levels, *images.shape).flatten(0, 1)
    each = sigmas.to(images).repeat_interleave(len(images))
    with torch.no_grad():
        clean = prior.at(many, noise.flatten(0, 1), each, Condition(labels.repeat(levels)))
    return (clean - many).square().flatten(1).mean(1).view(levels, -1)


def score(reading: Reading, real: Images, *, low: bool = False, seed: int = 0) -> Tensor:
    """Return the score (N,) of a reading on each image: the lower, the better.

    It is the mean over noise levels of ln(error / error of the best denoiser that knows the mean and the
    variance of all values alone). A network that cannot be called so has an infinite one.
    """
    images = reading.images(real)
    std = float(images.std())
    sigmas = std * torch.tensor(SEARCHED)
    if low:
        assert isinstance(reading.prior.process, Table)
        sigmas = reading.prior.process.sigmas[:LOWEST].float()
    # Wiener's filter of independent values: s^2 sigma^2 / (s^2 + sigma^2)   (Wiener 1949)
    wiener = std**2 * sigmas**2 / (std**2 + sigmas**2)
    try:
        errors = errors_at(reading.prior, images, classes_of(reading.prior, real.labels), sigmas, seed)
    except Exception:  # a network of somebody's, at times that it may not know
        return torch.full((len(images),), math.inf)
    result = (errors / wiener[:, None]).log().mean(0)
    return result.where(result.isfinite(), torch.tensor(math.inf))


@dataclass(frozen=True)
class Trial:
    """A reading's score, and its difference to that of the reading it changes, with its standard error."""

    reading: Reading
    score: float
    difference: float
    error: float

    @property
    def better(self) -> bool:
        """Whether the difference is certain: more than two standard errors, and 2 % of the error.

        A trained network is only nearly the denoiser of its data: tiny differences say nothing.
        """
        return self.difference < -max(CERTAIN * self.error, MARGIN)

    @property
    def undecided(self) -> bool:
        """Whether the images cannot tell the two readings apart."""
        return abs(self.difference) <= max(CERTAIN * self.error, MARGIN)


def trials(reading: Reading, real: Images) -> list[Trial]:
    """Return the trials of all alternatives of a reading, the best first; the same noise in all."""
    base = {low: score(reading, real, low=low) for low in (False, *([True] * _has_table(reading)))}
    results = []
    for other in alternatives(reading):
        before = base[other.low]
        after = score(other, real, low=other.low)
        difference = after - before
        difference = difference.masked_fill(difference.isnan(), 0.0)  # of two that the network refuses
        # paired: the same images and noise, so that their difficulty cancels
        error = float(difference.std() / len(difference) ** 0.5) if bool(difference.isfinite().all()) else 0.0
        results.append(Trial(other, float(after.mean()), float(difference.mean()), error))
    return sorted(results, key=lambda trial: (trial.difference, trial.score))


def _has_table(reading: Reading) -> bool:
    return isinstance(reading.prior.process, Table)


def search(reading: Reading, real: Images, most: int = 3) -> tuple[list[Trial], list[Trial]]:
    """Return the changes that make a reading better, one after the other, and the trials of the last one."""
    steps: list[Trial] = []
    while True:
        results = trials(steps[-1].reading if steps else reading, real)
        certain = [trial for trial in results if trial.better]
        if not certain or len(steps) == most:
            return steps, results
        steps.append(certain[0])


def linear_error(rest: Tensor, images: Tensor, sigmas: Tensor) -> Tensor:
    """Return the expected squared error (L,) per value of the best linear denoiser fitted to ``rest``.

    Example:
        >>> rest, images = torch.tensor([[-1.0], [1.0]]).view(2, 1, 1, 1), torch.ones(1, 1, 1, 1)
        >>> linear_error(rest, images, torch.tensor([1.0])).item()  # l = 2: (1 / 3)^2 + (2 / 3)^2
        0.5555555555555556
    """
    flat = rest.flatten(1).double()
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(flat.T).reshape(len(mean), -1))
    squares = ((images.flatten(1).double() - mean) @ vectors).square().mean(0)
    square = sigmas.double()[:, None] ** 2
    share = values.clamp(min=0) / (values.clamp(min=0) + square)
    # (s^2 / (l + s^2))^2 c + (l / (l + s^2))^2 s^2, c the image's squared coordinate   (Wiener 1949)
    return ((1 - share) ** 2 * squares + share**2 * square).mean(1)


def curve(prior: Prior, real: Images, count: int) -> list[dict[str, float]]:
    """Return, by noise level in the data's standard deviation, the denoiser's error and the linear one's.

    Errors are those of the predicted noise, per value; ``ratio`` is the one over the other. The first
    ``count`` images are denoised, the linear denoiser is fitted to the others.
    """
    images, labels = real.images[:count], classes_of(prior, real.labels[:count])
    std = float(real.images.std())
    sigmas = std * torch.tensor(CURVE)
    own = errors_at(prior, images, labels, sigmas, 1).mean(1).double()
    linear = linear_error(real.images[count:], images, sigmas)
    return [
        {"level": level, "network": float(a / s**2), "linear": float(b / s**2), "ratio": float(a / b)}
        for level, s, a, b in zip(CURVE, sigmas.double(), own, linear, strict=True)
    ]


def too_high(rows: list[dict[str, float]]) -> list[float]:
    """Return the levels at which a denoiser is worse than the best linear one, which no right one is."""
    return [
        row["level"] for row in rows if JUDGED[0] <= row["level"] <= JUDGED[1] and not row["ratio"] <= WORSE
    ]


def class_gain(prior: Prior, real: Images, count: int) -> tuple[float, float] | None:
    """Return by how much wrong classes raise ln(error), with the standard error; None without classes."""
    labels = real.labels[:count]
    if prior.classes < 2 or bool(((labels < 0) | (labels >= prior.classes)).any()):
        return None
    images, sigmas = real.images[:count], float(real.images.std()) * torch.tensor(SEARCHED)
    right, wrong = (
        errors_at(prior, images, each, sigmas, 2).log().mean(0)
        for each in (labels, (labels + 1) % prior.classes)
    )
    gain = wrong - right
    return float(gain.mean()), float(gain.std() / len(gain) ** 0.5)


def behaviour(prior: Prior) -> dict[str, float]:
    """Return what needs no images: values that are not finite, differences alone and again, range left.

    ``alone``: largest difference of an image denoised alone and in a batch, in the range's width; ``again``:
    of two equal calls; ``outside``: share of values beyond the range by a tenth of its width.
    """
    low, high = prior.range or (-1.0, 1.0)
    generator, top = torch_generator(0, "prior check"), min(prior.sigma_max, 80 * prior.std)
    e = torch.randn(4, *prior.shape, generator=generator)
    y = prior.mean().to(e).expand_as(e)
    labels = classes_of(prior, torch.zeros(4).long())
    middle = (prior.sigma_min * top) ** 0.5
    levels = torch.tensor([prior.sigma_min, middle, top, top])
    with torch.no_grad():
        batch, again = (prior.at(y, e, levels, Condition(labels)) for _ in range(2))
        alone = torch.cat(
            [prior.at(y[k : k + 1], e[k : k + 1], levels[k : k + 1], Condition(labels[:1])) for k in range(4)]
        )
    width, margin = high - low, 0.1 * (high - low)
    outside = (batch[2:] < low - margin) | (batch[2:] > high + margin)
    return {
        "not_finite": float((~batch.isfinite()).float().mean()),
        "alone": float((batch - alone).abs().max()) / width,
        "again": float((batch - again).abs().max()) / width,
        "outside": float(outside.float().mean()) if prior.range else 0.0,
    }


def reading_of(prior: NetworkPrior) -> Reading:
    """Return a prior's configuration as a reading."""
    if prior.range is None:
        raise ConfigError("prior", "has no range of values, so its images cannot be compared with others")
    return Reading(prior, prior.range)
