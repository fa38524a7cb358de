"""Annealing on the representable images: exact laws in float64, and what it refuses."""

import math
from dataclasses import replace

import pytest
import torch
from diffreps_problems import mixture, representation, task
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.error_maps import ErrorMap, error_map
from sevenfold.diffreps.linear_gaussian import Line, annealed_covariance, gaussian
from sevenfold.diffreps.methods.anneal import Anneal
from sevenfold.diffreps.priors.base import Condition, Prior
from sevenfold.diffreps.priors.fitted import moments
from sevenfold.diffreps.priors.mixture import Mixture
from sevenfold.diffreps.representations.affine import Affine
from sevenfold.diffreps.run import run
from sevenfold.diffreps.sampling_task import Task
from sevenfold.diffreps.sources import digits

LINE, EXACT = Line(), {"name": "linear"}


def anneal(levels: int, high: float, low: float, **options: object) -> Anneal:
    schedule = {"name": "karras", "levels": levels, "sigma_min": low, "sigma_max": high}
    return Anneal(schedule=schedule, solver=EXACT, start="drawn", **options)  # type: ignore[arg-type]


def with_exact_map(prior: Mixture, covariance: Tensor, method: Anneal) -> Mixture:
    """The prior with the closed form of its errors at the levels of a method."""
    sigmas = torch.tensor(sorted(step.sigma for step in method.plan(prior)), dtype=torch.float64)
    identity = torch.eye(len(covariance), dtype=torch.float64)
    # Cov[x0 | z] = S - S (S + sigma^2 I)^-1 S
    maps = [
        (covariance - covariance @ torch.linalg.solve(covariance + s**2 * identity, covariance)).diagonal()
        for s in sigmas
    ]
    prior.error_map = ErrorMap(sigmas, torch.stack(maps).reshape(-1, *prior.shape))
    return prior


def line_variance(levels: int, **options: object) -> float:
    case, method = LINE.task(), anneal(levels, 200.0, 1e-3, **options)
    assert isinstance(case.prior, Mixture)
    with_exact_map(case.prior, torch.tensor(LINE.variances).double().diag(), method)
    return float(annealed_covariance(method, case))


@pytest.mark.parametrize("levels", [10, 40])
def test_with_the_error_map_the_line_has_the_conditional_law(levels: int) -> None:
    assert line_variance(levels) == pytest.approx(LINE.conditional(), abs=1e-5)


@pytest.mark.parametrize(("levels", "expected"), [(40, 0.5462), (160, 0.4550)])
def test_one_error_for_each_level_converges_slowly(levels: int, expected: float) -> None:
    assert line_variance(levels, errors="mean") == pytest.approx(expected, abs=1e-3)


def test_without_local_noise_the_law_is_too_narrow() -> None:
    assert line_variance(40, std=1e-6) == pytest.approx(0.2256, abs=1e-3)


def cosines(count: int) -> Tensor:
    """The first two-dimensional cosines (64, count) of 8x8 pixels, ordered by (i + j, i, j), orthonormal."""
    x = (torch.arange(8, dtype=torch.float64) + 0.5) * math.pi / 8
    pairs = sorted(((i, j) for i in range(8) for j in range(8)), key=lambda pair: (sum(pair), *pair))
    columns = [((i * x).cos()[:, None] * (j * x).cos()).flatten() for i, j in pairs[:count]]
    return torch.nn.functional.normalize(torch.stack(columns, 1), dim=0)


def digits_divergence(count: int, levels: int, **options: object) -> float:
    """KL of the method's law from the exact one: digits as one Gaussian, cosines as the representation."""
    _, covariance = moments(digits(size=8).images.flatten(1).double(), 0.03)
    basis = cosines(count)
    prior = gaussian(torch.zeros(64), covariance, (1, 8, 8))
    method = anneal(levels, 80.0, 0.01, **options)
    case = task(Affine(basis[None], shape=(1, 8, 8)), with_exact_map(prior, covariance, method), count=1)
    ratio = (basis.T @ torch.linalg.solve(covariance, basis)) @ annealed_covariance(method, case)
    return float(ratio.trace() - count - torch.linalg.slogdet(ratio)[1]) / 2


@pytest.mark.parametrize(
    ("count", "levels", "errors", "expected"),
    [
        (8, 40, "map", 0.071),
        (16, 40, "map", 0.115),
        (32, 40, "map", 0.145),
        (48, 40, "map", 0.188),
        (8, 160, "map", 0.025),
        (16, 160, "map", 0.039),
        (32, 160, "map", 0.038),
        (48, 160, "map", 0.055),
        (8, 160, "mean", 0.309),
        (16, 160, "mean", 0.409),
        (32, 160, "mean", 0.227),
        (48, 160, "mean", 0.199),
    ],
)
def test_divergences_from_the_exact_law_equal_the_table(
    count: int, levels: int, errors: str, expected: float
) -> None:
    assert digits_divergence(count, levels, errors=errors) == pytest.approx(expected, rel=0.02)


def test_samples_have_the_law_that_the_recursion_says() -> None:
    """2,000 samples: the variance's standard error is 3.2 %, five of them 16 %."""
    method, one = anneal(10, 200.0, 1e-3), LINE.task()
    assert isinstance(one.prior, Mixture)
    with_exact_map(one.prior, torch.tensor(LINE.variances).double().diag(), method)
    case = task(one.representation, one.prior, count=2000)
    assert float(run(method, case).theta.var()) == pytest.approx(LINE.conditional(), rel=0.16)


def test_errors_measured_on_samples_are_those_of_the_closed_form() -> None:
    """800 draws and a chi-squared variable each: standard error 5 %, six of them 30 %."""
    prior = gaussian(torch.zeros(3), torch.tensor(LINE.variances).diag(), (3, 1, 1))
    known = error_map(prior, 0.01, 100.0)
    assert known is not None
    for sigma in (0.02, 1.0, 50.0):
        variances = torch.tensor(LINE.variances).double()
        exact = variances * sigma**2 / (variances + sigma**2)
        assert float((known.at(sigma).flatten() / exact - 1).abs().max()) < 0.3
    low, lower = known.at(0.01), known.at(0.001)
    assert torch.allclose(low / lower, torch.full_like(low, 100.0))


def siren_task(prior: Mixture) -> Task:
    return task(representation("siren"), prior, count=2)


def test_a_representation_that_is_not_affine_ends_near_the_denoised_image() -> None:
    case = siren_task(mixture((2, 6, 6)))
    for errors in ("map", "mean"):
        outcome = run(Anneal(schedule={"name": "karras", "levels": 6}, errors=errors), case)  # type: ignore[arg-type]
        assert outcome.calls == 6 and bool(outcome.images.isfinite().all())


class OnlyDenoises(Prior):
    """An exact prior of which a method sees the denoiser alone."""

    def __init__(self, inner: Mixture) -> None:
        super().__init__()
        self.inner, self.shape = inner, inner.shape

    def denoise(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        return self.inner.denoise(z, sigma, condition)


def test_a_prior_without_a_map_needs_the_datas_deviation() -> None:
    line = LINE.task()
    assert isinstance(line.prior, Mixture)
    case = replace(line, prior=OnlyDenoises(line.prior))
    with pytest.raises(ConfigError, match="std: the prior has no map"):
        run(anneal(4, 10.0, 0.1), case)
    with pytest.raises(ConfigError, match="errors: a map"):
        run(anneal(4, 10.0, 0.1, errors="map", std=1.0), case)
    assert bool(run(anneal(4, 10.0, 0.1, std=1.0), case).theta.isfinite().all())


def test_several_views_are_named_in_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    matrix = torch.eye(3, dtype=torch.float64).expand(2, 3, 3).contiguous()
    prior = gaussian(torch.zeros(3), torch.tensor(LINE.variances).diag(), (3, 1, 1))
    run(anneal(4, 10.0, 0.1), task(Affine(matrix, shape=(3, 1, 1)), prior, count=1, views=2))
    assert [record.getMessage()[:20] for record in caplog.records] == ["anneal: with 2 views"]
