"""Exact laws of linear Gaussian problems, in float64."""

import math

import pytest
import torch
from diffreps_problems import method, task
from torch import Tensor

from sevenfold.diffreps.linear_gaussian import Line, gaussian, sampled_covariance
from sevenfold.diffreps.methods.pullback import Pullback
from sevenfold.diffreps.noise_table import NoiseTable
from sevenfold.diffreps.random_streams import Streams
from sevenfold.diffreps.representations.affine import Affine
from sevenfold.diffreps.run import run
from sevenfold.diffreps.view_noise import Noise, Pool

LINE = Line()
EXACT = {"name": "linear"}


def pullback(levels: int, order: str = "heun", rounds: int = 0, **options: object) -> Pullback:
    schedule = {"name": "karras", "levels": levels, "sigma_min": 1e-3, "sigma_max": 200.0}
    again = {"rounds": rounds}
    sampler = method(
        "pullback", schedule=schedule, order=order, solver=EXACT, start="drawn", resampling=again, **options
    )
    assert isinstance(sampler, Pullback)
    return sampler


def variance(levels: int, order: str = "heun", rounds: int = 0) -> float:
    return float(sampled_covariance(pullback(levels, order, rounds), LINE.task()))


def test_closed_forms_have_their_known_values() -> None:
    assert LINE.marginal() == pytest.approx(1.225, abs=1e-5)
    assert LINE.split() == pytest.approx(0.74661, abs=1e-5)
    assert LINE.geometric() == pytest.approx(0.65975, abs=1e-5)
    assert LINE.conditional() == pytest.approx(0.42553, abs=1e-5)


def test_heun_converges_to_the_split_law() -> None:
    assert variance(320) == pytest.approx(0.74661, abs=3e-4)


@pytest.mark.parametrize(
    ("levels", "expected"), [(20, 0.59051), (40, 0.66487), (80, 0.70476), (160, 0.72542), (320, 0.73594)]
)
def test_euler_variances_equal_the_table(levels: int, expected: float) -> None:
    assert variance(levels, "euler") == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        (0, 0.7601),
        (1, 0.6041),
        (2, 0.5420),
        (5, 0.4801),
        (10, 0.4540),
        pytest.param(20, 0.4401, marks=pytest.mark.slow),
    ],
)
def test_resampling_variances_equal_the_table(rounds: int, expected: float) -> None:
    value = variance(40, rounds=rounds)
    assert value == pytest.approx(expected, abs=1e-3)
    if rounds == 10:
        assert abs(value - LINE.conditional()) < 0.03


def final_image(levels: int) -> tuple[Tensor, Tensor]:
    """The pullback's image for a Gaussian prior and an invertible affine map, and the ODE's solution."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    mean, covariance = torch.randn(4, generator=generator, dtype=torch.float64), root @ root.T / 4
    matrix = torch.randn(1, 4, 4, generator=generator, dtype=torch.float64) + 2 * torch.eye(4)
    rep = Affine(matrix, shape=(4, 1, 1))
    case = task(rep, gaussian(mean, covariance, (4, 1, 1)))
    schedule = {"name": "karras", "levels": levels, "sigma_min": 1e-3, "sigma_max": 20.0}
    outcome = run(method("pullback", schedule=schedule, order="heun", solver=EXACT, start="drawn"), case)
    e = case.noise.at(case.noise.start(case.streams("noise")), torch.tensor([0]), case.start()).flatten(1)
    values, vectors = torch.linalg.eigh(covariance)
    shrink = vectors * (values / (values + 400)).sqrt() @ vectors.T
    return outcome.images.flatten(1), mean + (20 * e - mean) @ shrink


def test_the_pullback_converges_to_the_closed_solution_of_the_ode() -> None:
    errors = []

    for levels in (40, 80, 160, 320):
        image, expected = final_image(levels)
        errors.append(float((image - expected).norm() / expected.norm()))
    ratios = [a / b for a, b in zip(errors, errors[1:], strict=False)]
    assert all(3.5 < ratio < 4.5 for ratio in ratios), (errors, ratios)
    assert errors[-1] < 1e-4


@pytest.mark.parametrize("name", ["sds", "sjc"])
def test_distillation_converges_to_a_point(name: str) -> None:
    """Each step averages 256 copies of the one view, each with its own noise, to be done in seconds.

    The mean of 16 samples is off by a t variable with 15 degrees of freedom, above 6 once in 40,000 times.
    """
    copies, mean = 256, torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)
    q = torch.tensor(LINE.weights, dtype=torch.float64).sqrt()
    covariance = torch.tensor(LINE.variances, dtype=torch.float64)
    rep = Affine(q[None, :, None].repeat(copies, 1, 1), shape=(3, 1, 1))
    case = task(rep, gaussian(mean, covariance.diag(), (3, 1, 1)), count=16, views=copies)
    sampler = method(name, count=1000, lr=4 / copies, optimizer="sgd", decay="inverse")
    theta = run(sampler, case).theta[:, 0]

    sigma = sampler.levels(NoiseTable().sigmas(), 0.0)[:, None]
    expectation = (sampler.weight(sigma) * sigma / (covariance + sigma**2)).mean(0)
    target = float((q * expectation * mean).sum() / (q * expectation * q).sum())
    assert abs(float(theta.mean()) - target) < 6 * float(theta.std()) / math.sqrt(16)
    assert float(theta.var()) < 1e-3 * LINE.marginal()  # 5e-5 on average


class SharedNoise(Pool):
    """One noise image for all views."""

    def start(self, streams: Streams) -> Noise:
        return {"views": streams.normal(1, *self.representation.shape)}

    def at(self, noise: Noise, index: Tensor, theta: Tensor) -> Tensor:
        return noise["views"].expand(-1, len(index), -1, -1, -1)


def copies(views: int) -> Affine:
    return Affine(torch.eye(3, dtype=torch.float64).expand(views, 3, 3).contiguous(), shape=(3, 1, 1))


def test_copies_with_the_same_noise_are_one_view() -> None:
    prior = gaussian(torch.zeros(3), torch.tensor(LINE.variances).diag(), (3, 1, 1))
    one, four = (run(pullback(20), task(copies(n), prior, noise=SharedNoise(), views=n)) for n in (1, 4))
    assert float((one.theta - four.theta).abs().max()) < 1e-8


@pytest.mark.parametrize("views", [1, 2, 4])
def test_copies_with_independent_noise_are_independent_experts(views: int) -> None:
    prior = gaussian(torch.zeros(3), torch.tensor(LINE.variances).diag(), (3, 1, 1))
    covariance = sampled_covariance(pullback(240), task(copies(views), prior, count=1, views=views))
    expected = torch.tensor(LINE.variances).double() / views
    assert float((covariance.diagonal() / expected - 1).abs().max()) < 1e-3


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.999, 1.0])
def test_mixing_keeps_noise_standard_normal(keep: float) -> None:
    moment = torch.ones((), dtype=torch.float64)
    for _ in range(50):
        moment = keep**2 * moment + math.sqrt(1 - keep**2) ** 2
    assert abs(float(moment) - 1) < 1e-12


@pytest.mark.parametrize(
    ("stochastic", "rounds"), [({"eta": 0.7}, 0), ({"churn": 0.2}, 0), ({"eta": 1.0, "churn": 0.1}, 2)]
)
def test_stochastic_steps_keep_the_noise_standard_normal_and_the_image(
    stochastic: dict[str, float], rounds: int
) -> None:
    case = LINE.task()
    sampler = pullback(12, rounds=rounds, stochastic=stochastic)
    state = sampler.begin(case)
    factors = []
    mix = sampler.mix

    def watched(t: object, s: object, keep: float) -> None:
        before = state.theta.clone()
        mix(t, s, keep)  # type: ignore[arg-type]
        assert torch.equal(state.theta, before)  # y is untouched
        factors.append(keep)

    sampler.mix = watched  # type: ignore[method-assign]
    moment = torch.ones((), dtype=torch.float64)
    while state.step < sampler.steps(case):
        sampler.advance(case, state)
    for keep in factors:
        assert 0 <= keep <= 1
        moment = keep**2 * moment + (1 - keep**2)
    assert factors and abs(float(moment) - 1) < 1e-12


@pytest.mark.parametrize(("eta", "sigma", "following"), [(0.0, 3.0, 1.0), (0.5, 3.0, 1.0), (1.0, 0.7, 0.6)])
def test_ancestral_levels_add_up(eta: float, sigma: float, following: float) -> None:
    sampler = pullback(5, stochastic={"eta": eta})
    down = sampler.down(sigma, following)
    up = eta * following * math.sqrt(1 - following**2 / sigma**2)
    assert down**2 + up**2 == pytest.approx(following**2, abs=1e-12)


def test_ancestral_and_churned_sampling_has_the_priors_law() -> None:
    """With the identity as representation every variant samples the prior itself."""
    prior = gaussian(torch.zeros(3), torch.tensor(LINE.variances).diag(), (3, 1, 1))
    for options in (
        {},
        {"stochastic": {"eta": 0.5}},
        {"stochastic": {"churn": 0.05}},
    ):
        covariance = sampled_covariance(pullback(60, **options), task(copies(1), prior, count=1))
        assert float((covariance.diagonal() / torch.tensor(LINE.variances) - 1).abs().max()) < 0.03
