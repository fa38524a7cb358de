"""Synchronized sampling: its exact law, DDIM where nothing restricts the images, and what it refuses."""

import pytest
import torch
from diffreps_problems import method, mixture, representation, task
from torch import Tensor

from sevenfold.config import ConfigError, build
from sevenfold.diffreps import VIEW_NOISES
from sevenfold.diffreps.linear_gaussian import gaussian
from sevenfold.diffreps.methods.sync import Sync
from sevenfold.diffreps.priors.fitted import moments
from sevenfold.diffreps.representations.affine import Affine
from sevenfold.diffreps.representations.low_band import cosines
from sevenfold.diffreps.run import run
from sevenfold.diffreps.sources import digits


def sync_covariance(prior_covariance: Tensor, basis: Tensor, levels: int) -> Tensor:
    """The law of its parameters: the run is linear in the noise, so that basis vectors give its matrix."""
    prior = gaussian(torch.zeros(64), prior_covariance, (1, 8, 8))
    case = task(Affine(basis[None], shape=(1, 8, 8)), prior, count=64)
    schedule = {"name": "karras", "levels": levels, "sigma_min": 0.01, "sigma_max": 80.0}
    sampler = Sync(schedule=schedule, solver={"name": "linear"})
    state = sampler.begin(case)
    state.noise = {"views": torch.eye(64, dtype=torch.float64).view(64, 1, 1, 8, 8)}
    while state.step < sampler.steps(case):
        sampler.advance(case, state)
    return state.theta.T @ state.theta


@pytest.mark.parametrize(("count", "expected"), [(8, 2.34), (16, 3.04), (32, 1.78), (48, 0.83)])
def test_divergences_from_the_exact_law_equal_the_table(count: int, expected: float) -> None:
    _, covariance = moments(digits(size=8).images.flatten(1).double(), 0.03)
    basis = cosines(8, count)
    law = sync_covariance(covariance, basis, 40)
    ratio = (basis.T @ torch.linalg.solve(covariance, basis)) @ law
    divergence = float(ratio.trace() - count - torch.linalg.slogdet(ratio)[1]) / 2
    assert divergence == pytest.approx(expected, rel=0.02)


def test_where_nothing_restricts_the_images_it_is_ddim() -> None:
    problem = task(representation("pixels"), mixture((2, 6, 6)))
    options = {"schedule": {"name": "karras", "levels": 12}}
    exact = {"name": "dense", "damping": 0.0}
    images = run(method("sync", solver=exact, **options), problem).images
    expected = run(method("reference", order="euler", **options), problem).images
    assert float((images - expected).abs().max()) < 1e-9


def test_noise_that_views_share_is_refused() -> None:
    noise = build(VIEW_NOISES, {"name": "fresh"}, "noise")
    with pytest.raises(ConfigError, match="view_noise: sync replaces the noise"):
        run(method("sync"), task(representation("pixels"), mixture((2, 6, 6)), noise=noise))
