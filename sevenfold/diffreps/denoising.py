"""Train a network to denoise: its loss, and samples that show what it has learned."""

import torch
from torch import Tensor, nn

from sevenfold.diffreps.guidance import Guidance
from sevenfold.diffreps.methods.reference import Reference
from sevenfold.diffreps.noise_table import Prediction
from sevenfold.diffreps.priors.network import NetworkPrior
from sevenfold.diffreps.representations.pixels import Pixels
from sevenfold.diffreps.run import run
from sevenfold.diffreps.task import make_task
from sevenfold.diffreps.view_noise import Pool
from sevenfold.seeding import stream_seed


def denoising_loss(
    network: nn.Module,
    alphas_bar: Tensor,
    prediction: Prediction,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Return the mean squared error of the network's output at times drawn uniformly.

    ``images`` (N, C, H, W) are clean, ``labels`` (N,) with -1 for none, ``alphas_bar`` (T,) the table.
    """
    n = len(images)
    time = torch.randint(len(alphas_bar), (n,), generator=generator).to(images.device)
    noise = torch.randn(images.shape, generator=generator).to(images)
    a = alphas_bar[time].sqrt().to(images).view(-1, 1, 1, 1)
    s = (1 - alphas_bar[time]).sqrt().to(images).view(-1, 1, 1, 1)
    wanted = {"eps": noise, "x0": images, "v": a * noise - s * images}[prediction]
    return (network(a * images + s * noise, time, labels) - wanted).square().mean()


def drop_labels(labels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Return labels with a ``share`` of them, on average, replaced by -1: none."""
    dropped = torch.rand(labels.shape, generator=generator).to(labels.device) < share
    return labels.masked_fill(dropped, -1)


def image_samples(prior: NetworkPrior, labels: list[int], *, levels: int, weight: float, seed: int) -> Tensor:
    """Return DDIM samples (N, C, H, W), one for each label, from evenly spaced entries of the noise table."""
    channels, size, _ = prior.shape
    pixels = Pixels(size=size, channels=channels)
    seeds = [stream_seed(seed, "denoiser sample", k) for k in range(len(labels))]
    task = make_task(pixels, prior, Pool(), seeds=seeds, labels=labels)
    guidance = Guidance(weight=weight, clip=True)
    sampler = Reference(schedule={"name": "table", "levels": levels}, guidance=guidance, order="euler")
    return run(sampler, task).images[:, 0]
