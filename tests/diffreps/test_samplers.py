"""Samplers, compared with image samplers, under other parametrizations and batches, and on a curve."""

import copy
from pathlib import Path

import pytest
import torch
from diffreps_problems import method, mixture, representation, task
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps import METHODS, SOLVERS
from sevenfold.diffreps.priors.base import Condition
from sevenfold.diffreps.priors.mixture import Mixture
from sevenfold.diffreps.representations.base import Layout, Representation
from sevenfold.diffreps.run import Watch, run
from sevenfold.diffreps.sampling_task import Task, make_task
from sevenfold.diffreps.view_noise import Pool

SHORT = {"name": "karras", "levels": 12}
SHAPE = (2, 6, 6)


def image_sampler(problem: Task, order: str, levels: int = 12) -> list[Tensor]:
    """DDIM or Heun's method written plainly; returns the clean part z - sigma e after every step."""
    prior, z0 = problem.prior, problem.prior.mean().expand(len(problem), *problem.prior.shape)
    low, high = prior.sigma_min ** (1 / 7), prior.sigma_max ** (1 / 7)
    sigmas = [*(torch.linspace(high, low, levels, dtype=torch.float64) ** 7).tolist(), 0.0]
    e = problem.noise.at(problem.noise.start(problem.streams("noise")), torch.tensor([0]), problem.start())[
        :, 0
    ]
    z, clean_parts = z0 + sigmas[0] * e, []

    def slope(x: Tensor, sigma: float) -> Tensor:
        free = Condition(torch.full((len(x),), -1))
        return (x - prior.denoise(x, torch.full((len(x),), sigma, dtype=torch.float64), free)) / sigma

    for sigma, following in zip(sigmas, sigmas[1:], strict=False):
        first = slope(z, sigma)
        following_z = z + (following - sigma) * first
        if order == "heun" and following > 0:
            following_z = z + (following - sigma) * (first + slope(following_z, following)) / 2
        z = following_z
        clean_parts.append(z - following * e)
    return clean_parts


@pytest.mark.parametrize("order", ["euler", "heun"])
@pytest.mark.parametrize(
    "solver", [*sorted(SOLVERS.keys() - {"decoded", "inner", "regularized"}), "reference"]
)
def test_pixels_equal_the_image_sampler_at_every_level(order: str, solver: str) -> None:
    exact = {"damping": 0.0} | ({"tol": 0.0} if solver in ("cg", "lsmr") else {})
    sampler = (
        method("reference", schedule=SHORT, order=order)
        if solver == "reference"
        else method("pullback", schedule=SHORT, order=order, solver={"name": solver, **exact})
    )
    problem = task(representation("pixels"), mixture(SHAPE))
    state = sampler.begin(problem)
    for expected in image_sampler(problem, order):
        sampler.advance(problem, state)
        assert float((sampler.images(problem, state)[:, 0] - expected).abs().max()) < 1e-10


def test_the_clean_part_moves_by_the_residual() -> None:
    """Along the ODE with e held fixed, d(z - sigma e)/dsigma = e_hat - e."""
    prior = mixture(SHAPE)
    free = Condition(torch.full((2,), -1))
    z = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    e = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def eps(x: Tensor, sigma: float) -> Tensor:
        return (x - prior.denoise(x, torch.full((2,), sigma, dtype=torch.float64), free)) / sigma

    def along(x: Tensor, sigma: float, step: float) -> Tensor:  # classical Runge-Kutta of dz/dsigma = eps
        a = eps(x, sigma)
        b = eps(x + step / 2 * a, sigma + step / 2)
        c = eps(x + step / 2 * b, sigma + step / 2)
        d = eps(x + step * c, sigma + step)
        return x + step / 6 * (a + 2 * b + 2 * c + d)

    sigma, h = 1.3, 1e-4
    ahead, behind = along(z, sigma, h) - (sigma + h) * e, along(z, sigma, -h) - (sigma - h) * e
    assert float(((ahead - behind) / (2 * h) - (eps(z, sigma) - e)).abs().max()) < 1e-6


class Reparametrized(Representation):
    """f(B phi) for an f and a matrix B."""

    def __init__(self, inner: Representation, matrix: Tensor) -> None:
        super().__init__(inner.shape, Layout({"phi": (inner.layout.size,)}))
        self.inner, self.matrix = inner, matrix

    def initial(self, generator: torch.Generator) -> Tensor:
        return torch.linalg.solve(self.matrix, self.inner.initial(generator).double())

    def render(self, params: Tensor, view: Tensor) -> Tensor:
        return self.inner.render(self.matrix @ params, view)


def other_parameters() -> tuple[Task, Task]:
    inner = representation("siren", width=3, hidden=1, channels=1)
    size = inner.layout.size
    generator = torch.Generator().manual_seed(3)
    matrix = (
        torch.eye(size).double() + 0.5 * torch.randn(size, size, generator=generator).double() / size**0.5
    )
    prior = mixture((1, 6, 6))
    return task(inner, prior), task(Reparametrized(inner, matrix), prior)


def test_the_pullback_does_not_depend_on_the_parametrization() -> None:
    one, other = other_parameters()
    sampler = method("pullback", schedule=SHORT, solver={"name": "dense", "damping": 0.0}, start="drawn")
    states = [sampler.begin(problem) for problem in (one, other)]
    for _ in range(sampler.steps(one)):
        for problem, state in zip((one, other), states, strict=True):
            sampler.advance(problem, state)
        images = [sampler.images(a, s) for a, s in zip((one, other), states, strict=True)]
        assert float((images[0] - images[1]).abs().max()) < 1e-8


def test_distillation_depends_on_the_parametrization() -> None:
    one, other = other_parameters()
    sds = method("sds", count=60, lr=1e-2, optimizer="sgd")
    assert float((run(sds, one).images - run(sds, other).images).abs().max()) > 1e-2


CALM = {"name": "dense", "damping": 0.1}
VARIANTS = {
    "pullback": {
        "schedule": SHORT,
        "solver": CALM,
        "stochastic": {"eta": 0.5, "churn": 0.1},
        "resampling": {"rounds": 1},
    },
    # noise is new at every level, so that rounding grows from fit to fit: a firmer damping than the others'
    "anneal": {"schedule": SHORT, "solver": {**CALM, "damping": 1.0}},
    "reference": {"schedule": SHORT},
    "sync": {"schedule": SHORT, "solver": CALM},
    "fit": {"images": {"name": "reference", "schedule": SHORT}, "solver": CALM, "solves": 3},
    "sds": {"count": 20},
    "sjc": {"count": 20},
}


def test_every_method_has_a_variant() -> None:
    assert set(VARIANTS) | {"growing"} == set(METHODS)  # that one has volumes: test_volumes.py


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_a_sample_does_not_depend_on_its_batch(name: str) -> None:
    whole = task(representation("siren", channels=1), mixture((1, 6, 6)), count=4)
    result = run(method(name, **VARIANTS[name]), whole)
    alone = run(method(name, **VARIANTS[name]), whole.part(slice(2, 3)))
    assert float((alone.images[0] - result.images[2]).abs().max()) < 1e-10


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_an_interrupted_run_ends_the_same(name: str, tmp_path: Path) -> None:
    problem = task(representation("siren", channels=1), mixture((1, 6, 6)))
    sampler = method(name, **VARIANTS[name])
    whole = run(sampler, problem, Watch(frames=2))
    sampler_steps = sampler.steps
    sampler.steps = lambda _: 10  # type: ignore[method-assign, assignment]  # cut off after step 10
    run(sampler, problem, Watch(tmp_path / "state", every=10, frames=2))
    sampler.steps = sampler_steps  # type: ignore[method-assign]
    resumed = run(method(name, **VARIANTS[name]), problem, Watch(tmp_path / "state", every=10, frames=2))
    assert torch.equal(resumed.images, whole.images) and torch.equal(resumed.theta, whole.theta)
    assert resumed.trace == whole.trace and resumed.calls == whole.calls
    assert torch.equal(resumed.frames, whole.frames)  # type: ignore[arg-type]


def test_calls_are_counted() -> None:
    problem = task(representation("siren", channels=1), mixture((1, 6, 6)), labels=[0, 1, 2])
    for options, calls in (
        ({}, 12),
        ({"order": "heun"}, 23),
        ({"resampling": {"rounds": 2}}, 12 + 2 * 11),
        ({"resampling": {"rounds": 1, "jump": 3}}, 12 + 9),
        ({"resampling": {"rounds": 1, "low": 1.0, "high": 5.0}}, 12 + 3),
    ):
        result = run(method("pullback", schedule=SHORT, **options), problem)
        assert result.calls == calls == result.evaluations, options
    guided = run(method("pullback", schedule=SHORT, guidance={"weight": 3.0}), problem)
    assert guided.calls == 12 and guided.evaluations == 24


def test_guidance_equals_its_formula() -> None:
    from sevenfold.diffreps.guidance import Guidance

    prior, z = mixture(SHAPE), torch.ones(3, *SHAPE).double()
    problem = Condition(torch.arange(3))
    sigma = torch.full((3,), 2.0).double()
    conditional, free = prior.denoise(z, sigma, problem), prior.denoise(z, sigma, problem.without_labels())
    for weight in (0.0, 1.0, 7.5):
        result = Guidance(weight=weight).denoise(prior, z, 0 * z, sigma, problem)
        assert torch.allclose(result, free + weight * (conditional - free), atol=1e-12)
    full = Guidance(weight=7.5, rescale=1.0).denoise(prior, z, 0 * z, sigma, problem)
    assert torch.allclose(full.flatten(1).std(1), conditional.flatten(1).std(1), atol=1e-9)
    prior.range = (-0.1, 0.1)
    assert float(Guidance(clip=True).denoise(prior, z, 0 * z, sigma, problem).abs().max()) <= 0.1
    bounded = Guidance(dynamic=0.9).denoise(prior, z, 0 * z, sigma, problem)
    assert float(bounded.abs().max()) <= 0.1 + 1e-12 and float(bounded.abs().max()) > 0.09


@pytest.mark.parametrize("option", [{"clip": True}, {"dynamic": 0.9}])
def test_bounds_without_a_range_are_refused_under_their_own_name(option: dict[str, float]) -> None:
    from sevenfold.diffreps.guidance import Guidance

    with pytest.raises(ConfigError, match=f"guidance.{next(iter(option))}: the prior has no range"):
        Guidance(**option).check(mixture(SHAPE))  # type: ignore[arg-type]


def curve_problem(count: int) -> tuple[Task, Mixture]:
    from sevenfold.config import build
    from sevenfold.diffreps import PRIORS

    prior = build(PRIORS, {"name": "points"}, "prior").double()
    return task(representation("curve"), prior, count=count), prior


def arc_distribution(problem: Task, prior: Mixture) -> tuple[Tensor, Tensor]:
    """The prior restricted to the curve: parameters and their cumulative probabilities."""
    t = torch.linspace(-6, 6, 20001, dtype=torch.float64)
    points = problem.rendering(problem.all_views())(t[:, None]).view(-1, 2, 1, 1)
    density = prior.log_prob(points, torch.zeros(len(t)), Condition(torch.full((len(t),), -1))).exp()
    speed = problem.rendering(problem.all_views()).jacobian(t[:, None]).norm(dim=(1, 2))
    total = (density * speed).cumsum(0)
    return t, total / total[-1]


def distance(result: Tensor, t: Tensor, cumulative: Tensor) -> float:
    sorted_places = result.sort().values
    expected = cumulative[torch.searchsorted(t, sorted_places).clamp(max=len(t) - 1)]
    ranks = torch.arange(1, len(result) + 1) / len(result)
    return float((ranks - expected).abs().max())


def test_constrained_samples_on_a_curve_follow_the_arc_length_law() -> None:
    problem, prior = curve_problem(2000)
    schedule = {"name": "karras", "levels": 24, "sigma_min": 0.02, "sigma_max": 10.0}
    options = {"schedule": schedule, "order": "heun", "start": "drawn"}
    options["solver"] = {"name": "dense", "damping": 1e-6}
    law = arc_distribution(problem, prior)
    plain = distance(run(method("pullback", **options), problem).theta[:, 0], *law)
    again = {"rounds": 20, "high": 3.0}
    result = distance(run(method("pullback", resampling=again, **options), problem).theta[:, 0], *law)
    assert result < 0.06, f"with resampling {result:.3f}, without {plain:.3f}"
    assert plain > 0.1  # what resampling is for


def test_a_lack_of_memory_halves_the_batch(caplog: pytest.LogCaptureFixture) -> None:
    prior = mixture((1, 6, 6))
    rep = representation("siren", channels=1)
    expected = run(method("pullback", schedule=SHORT), task(rep, prior, count=5))
    small, allowed = copy.deepcopy(prior), 2
    denoise = small.denoise

    def limited(z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        if len(z) > allowed:
            raise torch.OutOfMemoryError("no more")
        return denoise(z, sigma, condition)

    small.denoise = limited  # type: ignore[method-assign]
    result = run(
        method("pullback", schedule=SHORT), make_task(rep, small, Pool(), seeds=range(5), dtype=torch.float64)
    )
    assert float((result.images - expected.images).abs().max()) < 1e-10
    assert "out of memory with 5 samples at a time; going on with 3" in caplog.text
    allowed = 0
    with pytest.raises(ValueError, match="out of memory with one sample"):
        run(method("pullback", schedule=SHORT), make_task(rep, small, Pool(), seeds=[0], dtype=torch.float64))
