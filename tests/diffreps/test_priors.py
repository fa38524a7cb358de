"""Priors: scores, densities, noise tables and schedules."""

import gzip
from pathlib import Path

import pytest
import torch
from diffreps_problems import mixture
from torch import Tensor

from sevenfold.config import build
from sevenfold.diffreps import PRIORS, SCHEDULES
from sevenfold.diffreps.noise_table import NoiseTable, score, time_of
from sevenfold.diffreps.priors.base import Condition
from sevenfold.diffreps.priors.kde import KernelDensity
from sevenfold.testing.contract import Check, run_check
from sevenfold.testing.prior import CHECKS

DIFFUSION = Path(__file__).resolve().parents[3] / "shared/data/diffusion"
SHAPE = (1, 2, 3)


def images(count: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def free(count: int) -> Condition:
    return Condition(torch.full((count,), -1))


@pytest.mark.parametrize("kind", ["mixture", "diagonal", "kde"])
@pytest.mark.parametrize("labels", [-1, 1])
def test_denoisers_are_scores_of_their_densities(kind: str, labels: int) -> None:
    prior = mixture(SHAPE)
    if kind == "diagonal":
        prior = type(prior)(
            prior.means, prior.variances, prior.log_weights.exp(), shape=SHAPE, labels=prior.labels
        )
    if kind == "kde":
        prior = KernelDensity(images(7, 3), 0.3, torch.arange(7) % 3)
    z, sigma = images().requires_grad_(True), torch.tensor([0.1, 0.5, 2.0, 30.0], dtype=torch.float64)
    condition = Condition(torch.full((4,), labels))
    (gradient,) = torch.autograd.grad(prior.log_prob(z, sigma, condition).sum(), z)
    computed = score(prior.denoise(z, sigma, condition), z, sigma.view(-1, 1, 1, 1))
    assert float((computed - gradient).detach().abs().max()) < 1e-10


@pytest.mark.parametrize("kind", ["mixture", "kde"])
def test_densities_are_normalized_and_samples_follow_them(kind: str) -> None:
    shape = (1, 1, 1)
    prior = mixture(shape) if kind == "mixture" else KernelDensity(images(5, 3)[:, :, :1, :1], 0.3)
    grid = torch.linspace(-12, 12, 4001, dtype=torch.float64).view(-1, 1, 1, 1)
    density = prior.log_prob(grid, torch.full((4001,), 0.4), free(4001)).exp()
    assert float(torch.trapezoid(density, grid.flatten())) == pytest.approx(1, abs=1e-6)
    samples = prior.sample(20000, torch.Generator().manual_seed(0)).flatten()
    clean = prior.log_prob(grid, torch.zeros(4001), free(4001)).exp()
    mean = float(torch.trapezoid(density * grid.flatten(), grid.flatten()))
    square = float(torch.trapezoid(clean * grid.flatten() ** 2, grid.flatten()))
    assert float(samples.mean()) == pytest.approx(mean, abs=0.05)
    assert float((samples**2).mean()) == pytest.approx(square, rel=0.05)


DIGITS = {"source": {"name": "digits", "size": 8}}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ["gaussian", "gmm", "kde"])
def test_priors_keep_their_contract(name: str, check: Check) -> None:
    prior = build(PRIORS, {"name": name, **DIGITS}, "prior")
    with torch.no_grad():
        run_check(check, prior.to("cpu", torch.float32))


@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "cosine"])
def test_times_and_sigmas_are_inverse(betas: str) -> None:
    sigmas = NoiseTable(betas=betas, steps=50).sigmas()  # type: ignore[arg-type]
    assert bool((sigmas[1:] > sigmas[:-1]).all())
    assert float((time_of(sigmas, sigmas) - torch.arange(50)).abs().max()) < 1e-9
    between = (sigmas[10] * sigmas[11]).sqrt()
    assert float(time_of(between, sigmas)) == pytest.approx(10.5, abs=1e-9)


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_schedules_fall_to_zero(name: str) -> None:
    prior = mixture(SHAPE)
    sigmas = build(SCHEDULES, {"name": name, "levels": 12}, "schedule", prior=prior)
    assert sigmas.shape == (13,) and float(sigmas[-1]) == 0
    assert bool((sigmas[1:] < sigmas[:-1]).all())
    if name not in ("flow", "table", "trailing"):
        assert float(sigmas[0]) == pytest.approx(prior.sigma_max, rel=1e-6)
        assert float(sigmas[-2]) == pytest.approx(prior.sigma_min, rel=1e-6)


@pytest.mark.skipif(not DIFFUSION.is_dir(), reason="shared/data/diffusion is not here")
def test_the_third_party_network_predicts_noise_with_its_published_error() -> None:
    prior = build(PRIORS, {"name": "network", "weights": str(DIFFUSION / "mnist_unet_small.pth")}, "prior")
    raw = gzip.decompress((DIFFUSION / "mnist-t10k-images-idx3-ubyte.gz").read_bytes())
    real = torch.frombuffer(bytearray(raw[16:]), dtype=torch.uint8).view(-1, 1, 28, 28)[:64].float() / 255
    expected = {10: 0.126, 100: 0.040, 300: 0.0175, 500: 0.0049, 700: 0.0008, 900: 0.0003, 999: 0.0005}
    for time, error in expected.items():
        sigma = prior.noise_table.sigmas()[time].float()
        noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(time))
        z = real + sigma * noise
        computed = (z - prior.denoise(z, sigma.expand(64), free(64))) / sigma
        assert float((computed - noise).square().mean()) == pytest.approx(error, rel=0.2)
