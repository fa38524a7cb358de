"""The contract of a diffusion prior."""

import math

import torch
from torch import Tensor

from sevenfold.diffreps.priors.base import UNCONDITIONAL, Condition, ExactPrior, Prior
from sevenfold.testing.contract import Check, require, run_checks

COUNT = 16
LEVELS = 24


def check_prior(prior: Prior) -> None:
    """Check, in float32, that a prior denoises: shapes, scales and, by sampling from it, its range.

    Args:
        prior: the prior; it is sampled with 24 calls of 16 images.

    >>> from sevenfold.config import build
    >>> from sevenfold.diffreps import PRIORS
    >>> check_prior(build(PRIORS, {"name": "gmm", "source": {"name": "digits", "size": 8}}, "prior"))
    """
    with torch.no_grad():
        run_checks(CHECKS, prior.to("cpu", torch.float32))


def free(count: int) -> Condition:
    """Return the condition that asks for nothing."""
    return Condition(torch.full((count,), UNCONDITIONAL))


def noise(prior: Prior, seed: int = 0) -> Tensor:
    """Return standard normal images."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(COUNT, *prior.shape, generator=generator, dtype=torch.float32)


def levels(prior: Prior) -> Tensor:
    """Return noise levels from the highest to the lowest, evenly spaced in their logarithm."""
    # an infinite level is drawn from far above the data's deviation, where both are alike
    high = 80 * prior.std if math.isinf(prior.sigma_max) else prior.sigma_max
    ends = torch.tensor([high, prior.sigma_min], dtype=torch.float32).log()
    return torch.linspace(float(ends[0]), float(ends[1]), LEVELS, dtype=torch.float32).exp()


def samples(prior: Prior) -> Tensor:
    """Return images that Euler's method draws: dz / dsigma = (z - D(z, sigma)) / sigma."""
    sigmas = [*levels(prior).tolist(), 0.0]
    z = prior.mean().float() + sigmas[0] * noise(prior)
    # z' = D + (sigma' / sigma) (z - D), Euler's step of the probability-flow ODE (Song et al. 2021).
    for sigma, following in zip(sigmas, sigmas[1:], strict=False):
        clean = prior.denoise(z, torch.full((COUNT,), sigma, dtype=torch.float32), free(COUNT)).float()
        z = clean + following / sigma * (z - clean)
    return z


def describes_its_images(prior: Prior) -> None:
    """Shape, range, classes and noise levels are what a sampler needs."""
    require(len(prior.shape) == 3 and min(prior.shape) > 0, f"shape is {prior.shape}, not (C, H, W).")
    require(0 < prior.sigma_min < prior.sigma_max, f"Levels are {prior.sigma_min} to {prior.sigma_max}.")
    require(prior.classes >= 0, f"classes is {prior.classes}.")
    if prior.range is not None:
        require(prior.range[0] < prior.range[1], f"range is {prior.range}.")
    require(prior.mean().shape == prior.shape, f"mean() has shape {tuple(prior.mean().shape)}.")


def denoises_every_level(prior: Prior) -> None:
    """Denoised images are finite, of the shape of the noisy ones, at every level and for every class."""
    for sigma in (levels(prior)[[0, LEVELS // 2, -1]]).tolist():
        at = torch.full((COUNT,), sigma, dtype=torch.float32)
        z = prior.mean().float() + sigma * noise(prior)
        for label in {UNCONDITIONAL, prior.classes - 1}:
            clean = prior.denoise(z, at, Condition(torch.full((COUNT,), label)))
            require(clean.shape == z.shape, f"At sigma {sigma:g} the shape is {tuple(clean.shape)}.")
            require(clean.isfinite().all(), f"At sigma {sigma:g} some values are not finite.")


def images_are_independent(prior: Prior) -> None:
    """An image is denoised the same alone, in a batch, and beside others of another level."""
    sigma = levels(prior)[:COUNT]
    z = prior.mean().float() + sigma.view(-1, 1, 1, 1) * noise(prior)
    batch = prior.denoise(z, sigma, free(COUNT))
    for i in (0, 7, COUNT - 1):
        alone = prior.denoise(z[i : i + 1], sigma[i : i + 1], free(1))[0]
        error = float((batch[i] - alone).abs().max())
        require(error < 1e-3 * (1 + float(alone.abs().max())), f"Image {i} differs by {error:.1e} alone.")


def little_noise_changes_little(prior: Prior) -> None:
    """At the lowest level the denoiser returns a sample to within a few standard deviations of noise."""
    clean = samples(prior)
    sigma = torch.full((COUNT,), prior.sigma_min, dtype=torch.float32)
    again = prior.denoise(clean + prior.sigma_min * noise(prior, 1), sigma, free(COUNT)).float()
    # A denoiser trained on another range moves a clean sample by far more than the noise.
    change = float((again - clean).square().mean().sqrt() / prior.sigma_min)
    require(change < 5, f"The change is {change:.1f} times the noise.")


def samples_fill_the_range(prior: Prior) -> None:
    """Samples lie within the claimed range, and reach into the lower and the upper part of it."""
    if prior.range is None:
        return
    low, high = prior.range
    # A prior that claims [0, 1] and was trained on [-1, 1] shows here and nowhere else.
    drawn, width = samples(prior).flatten(), high - low
    least, most = float(drawn.quantile(0.01)), float(drawn.quantile(0.99))
    figures = f"98 % of values lie in {least:.3g} to {most:.3g}; the range is {low:g} to {high:g}."
    require(least > low - 0.25 * width and most < high + 0.25 * width, f"They leave it: {figures}")
    require(least < low + 0.35 * width and most > high - 0.35 * width, f"They do not fill it: {figures}")


def exact_densities_agree(prior: Prior) -> None:
    """Where the density is known, denoising is its score: D(z) = z + sigma^2 grad log p(z)."""
    if not isinstance(prior, ExactPrior):
        return
    sigma = levels(prior)[:COUNT]
    z = (prior.mean().float() + sigma.view(-1, 1, 1, 1) * noise(prior)).requires_grad_(True)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(prior.log_prob(z, sigma, free(COUNT)).sum(), z)
    # Tweedie's formula: D(z) = z + sigma^2 grad log p_sigma(z) (Robbins 1956; Efron 2011).
    expected = z.detach() + sigma.view(-1, 1, 1, 1) ** 2 * gradient
    error = float((prior.denoise(z.detach(), sigma, free(COUNT)) - expected).abs().max())
    require(error < 1e-3 * (1 + float(expected.abs().max())), f"They differ by {error:.1e}.")


CHECKS: tuple[Check, ...] = (
    describes_its_images,
    denoises_every_level,
    images_are_independent,
    little_noise_changes_little,
    samples_fill_the_range,
    exact_densities_agree,
)
