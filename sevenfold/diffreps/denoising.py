"""Training of a denoising network: its options, its loss, and scores of its samples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sevenfold.diffreps.guidance import Guidance
from sevenfold.diffreps.methods.reference import Reference
from sevenfold.diffreps.noise_table import Prediction
from sevenfold.diffreps.priors.network import NetworkPrior
from sevenfold.diffreps.process import TrainingProcess
from sevenfold.diffreps.representations.pixels import Pixels
from sevenfold.diffreps.run import run
from sevenfold.diffreps.sampling_task import make_task
from sevenfold.diffreps.scores import Classifier, entropy, frechet
from sevenfold.diffreps.sources import Images
from sevenfold.diffreps.view_noise import Pool
from sevenfold.ranges import Count, Finite, LearningRate, NonNegative, Share, Size
from sevenfold.seeding import stream_seed


@dataclass(frozen=True)
class Optim:
    """Options of AdamW and its one-cycle rate, which rises and then falls to 0.

    Args:
        lr: the largest rate.
        weight_decay: decoupled weight decay.
        warmup: share of all steps on which the rate rises.
    """

    lr: LearningRate = 2e-3
    weight_decay: NonNegative = 1e-4
    warmup: Share = 0.1


@dataclass(frozen=True)
class Samples:
    """Options of the samples that a test draws, of all classes in turn.

    Args:
        count: number of samples.
        levels: steps of DDIM.
        weight: of guidance.
    """

    count: Count = 200
    levels: Size = 40
    weight: Finite = 1.0


def one_cycle(
    parameters: Iterable[nn.Parameter], rules: Optim, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Return AdamW and its one-cycle rate over ``steps`` steps (Smith & Topin 2018)."""
    optimizer = torch.optim.AdamW(parameters, lr=rules.lr, weight_decay=rules.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rules.lr, total_steps=max(2, steps), pct_start=rules.warmup
    )
    return optimizer, schedule


def denoising_loss(
    network: nn.Module,
    process: TrainingProcess,
    prediction: Prediction,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Return the mean squared error of the network's output at times that the process draws.

    ``images`` (N, C, H, W) are clean, ``labels`` (N,) with -1 for none. Numbers are drawn on the generator's
    device; with that of the images nothing waits for the host.
    """
    time = process.draw(len(images), generator).to(images.device)
    noise = torch.randn(images.shape, generator=generator, device=generator.device).to(images)
    a, s = (level.to(images).view(-1, 1, 1, 1) for level in process.levels(time))
    # E |net(a x0 + s e, t) - target|^2, target e (Ho et al. 2020, eq. 14), x0, v = a e - s x0
    # (Salimans & Ho 2022), or e - x0 (Lipman et al. 2023, eq. 23)
    target = {"eps": noise, "x0": images, "v": a * noise - s * images, "flow": noise - images}[prediction]
    return (network(a * images + s * noise, time, labels) - target).square().mean()


def drop_labels(labels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return labels of which a random ``share``, on average, is replaced by -1 (no class)."""
    # Classifier-free guidance needs both the conditional and the unconditional network (Ho & Salimans 2022).
    chances = torch.rand(labels.shape, generator=generator, device=generator.device)
    dropped = chances.to(labels.device) < share
    return labels.masked_fill(dropped, -1)


def image_samples(
    prior: NetworkPrior, labels: Sequence[int], *, levels: int, weight: float, seed: int
) -> Tensor:
    """Return DDIM samples (N, C, H, W), one for each label, at evenly spaced entries of the noise table."""
    channels, size, _ = prior.shape
    pixels = Pixels(size=size, channels=channels)
    seeds = [stream_seed(seed, "denoiser sample", k) for k in range(len(labels))]
    task = make_task(pixels, prior, Pool(), seeds=seeds, labels=labels)
    # Predictions at high noise leave the data's range; clipping them is usual for models of pixels.
    guidance = Guidance(weight=weight, clip=True)
    sampler = Reference(schedule={"name": "table", "levels": levels}, guidance=guidance, order="euler")
    return run(sampler, task).images[:, 0]


def classes_in_turn(prior: NetworkPrior, count: int) -> list[int]:
    """Return a class for each of ``count`` samples, in turn; -1 where the prior has no classes."""
    return [k % prior.classes if prior.classes else -1 for k in range(count)]


def sample_scores(prior: NetworkPrior, real: Images, options: Samples, seed: int) -> dict[str, float]:
    """Return the scores of samples of every class in turn, by a classifier of real images."""
    labels = classes_in_turn(prior, options.count)
    images = image_samples(prior, labels, levels=options.levels, weight=options.weight, seed=seed)
    judge = Classifier(real)
    features = judge.features(images.cpu())
    confidence, predicted = judge.probabilities(features).max(1)
    scores = {
        "confidence": float(confidence.mean()),
        "entropy": entropy(judge.probabilities(features)),
        "frechet_local": frechet(features, judge.features(real.images)),
        "classifier_accuracy": judge.accuracy,
    }
    if prior.classes:
        scores["class_accuracy"] = float((predicted == torch.tensor(labels)).float().mean())
    return scores
