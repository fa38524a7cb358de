"""Anderson acceleration against its definition, against plain iteration and against the torchdeq library."""

import pytest
import torch

from sevenfold.deq.anderson import Anderson
from sevenfold.deq.base import Stop
from sevenfold.deq.driver import solve
from sevenfold.deq.plain import FixedPoint

EVALUATIONS = {"max_iter": 400, "stop": Stop(tol=1e-8)}


def textbook(f, x, memory, beta, steps):
    """Walker and Ni's algorithm for one sample, by dense least squares; returns the points it evaluates."""
    points, values = [], []
    for _ in range(steps):
        points.append(x)
        values.append(f(x))
        past = range(max(0, len(points) - memory), len(points) - 1)
        r = values[-1] - points[-1]
        if not past:
            x = points[-1] + beta * r
            continue
        dx = torch.stack([points[i + 1] - points[i] for i in past], 1)
        dy = torch.stack([values[i + 1] - values[i] for i in past], 1)
        gamma = torch.linalg.lstsq(dy - dx, r[:, None]).solution[:, 0]
        x = points[-1] + beta * r - (dx + beta * (dy - dx)) @ gamma
    return points


@pytest.mark.parametrize(("memory", "beta"), [(2, 1.0), (4, 1.0), (4, 0.6)])
def test_equals_the_textbook(contraction, memory, beta):
    problem = contraction(size=40, batch=3)
    seen = []

    def f(z):
        seen.append(z[0].clone())
        return problem.f(z)

    solver = Anderson(memory=memory, beta=beta, ridge=0, growth=1e9)
    solve(f, problem.z0, solver, max_iter=12, stop=Stop(tol=0))
    for b in range(3):
        single = problem.bias[b]
        expected = textbook(
            lambda x, single=single: torch.tanh(problem.weight @ x + single),
            problem.z0[0][b],
            memory,
            beta,
            12,
        )
        for k in range(12):
            torch.testing.assert_close(seen[k][b], expected[k], rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", ["linear", "tanh"])
def test_check_03_evaluations_against_plain_iteration(contraction, kind):
    for radius, most in ((0.5, 1.0), (0.9, 0.5), (0.99, 0.75)):
        problem = contraction(kind, radius, size=256)
        plain = solve(problem.f, problem.z0, FixedPoint(), **EVALUATIONS)
        ours = solve(problem.f, problem.z0, Anderson(), **EVALUATIONS)
        assert ours.converged.all()
        assert ours.steps.max() <= most * plain.steps.max()


@pytest.mark.parametrize("kind", ["linear", "tanh"])
def test_check_03_evaluations_against_torchdeq(contraction, count, kind):
    solver = pytest.importorskip(
        "torchdeq.solver", reason="torchdeq, the other side of the comparison, is absent"
    )
    problem = contraction(kind, 0.9, size=256)
    theirs = count(lambda x: problem.f((x,))[0])
    # its first argument is a tensor, whose rows count() takes for parts: only the calls matter here
    solver.get_solver("anderson")(theirs, problem.z0[0], max_iter=400, tol=1e-8, stop_mode="rel")
    ours = solve(problem.f, problem.z0, Anderson(), **EVALUATIONS)
    assert ours.steps.max() <= theirs.calls / 3


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_ridge_is_relative(contraction, scale):
    """Regression: with an absolute ridge the method degrades to nothing once residuals are small."""
    problem = contraction("linear", 0.9)
    options = {"max_iter": 100, "stop": Stop(tol=1e-7)}
    unit = solve(problem.f, problem.z0, Anderson(), **options)
    scaled = solve(lambda z: (scale * problem.f((z[0] / scale,))[0],), problem.z0, Anderson(), **options)
    assert unit.converged.all() and (unit.steps - scaled.steps).abs().max() <= 1
    torch.testing.assert_close(scaled.value[0] / scale, unit.value[0], rtol=0, atol=1e-6)


def test_reaches_the_floor_of_float32(contraction):
    problem = contraction("linear", 0.99, size=256, dtype=torch.float32)
    solution = solve(problem.f, problem.z0, Anderson(), max_iter=300, stop=Stop(tol=1e-6))
    assert solution.converged.all()


def test_finds_fixed_points_that_plain_iteration_cannot():
    slope = torch.linspace(-3, 0.5, 50, dtype=torch.float64)
    z0 = (torch.zeros(2, 50, dtype=torch.float64),)
    options = {"max_iter": 80, "stop": Stop(tol=1e-8)}
    assert not solve(lambda z: (slope * z[0] + 1,), z0, FixedPoint(), **options).converged.any()
    solution = solve(lambda z: (slope * z[0] + 1,), z0, Anderson(), **options)
    torch.testing.assert_close(solution.value[0], (1 / (1 - slope)).expand(2, -1), rtol=1e-6, atol=1e-6)


def test_safeguard_never_repeats_itself_for_ever():
    """Restarting from one best state again and again would evaluate the same few points."""
    seen = []

    def f(z):  # no fixed point, strongly expanding away from its flattest place
        seen.append(round(float(z[0]), 9))
        return (z[0] + 1 + z[0] ** 2,)

    z0 = (torch.full((1, 1), 0.3, dtype=torch.float64),)
    solve(f, z0, Anderson(growth=1.5), max_iter=60, stop=Stop(mode="abs", divergence=1e300))
    assert len(set(seen)) > 0.8 * len(seen)


@pytest.mark.parametrize(
    "options", [{"memory": 1}, {"beta": 0}, {"beta": 1.5}, {"ridge": -1}, {"growth": 1.0}]
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Anderson(**options)


@pytest.mark.parametrize("memory", [2, 3, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_more_memory_than_dimensions_does_no_harm(memory, dtype):
    """In one dimension all differences are parallel, the Gram matrix singular: the secant method remains."""
    stop = Stop(tol=1e-12 if dtype == torch.float64 else 1e-6)
    z0 = (torch.zeros(1, 1, dtype=dtype),)
    solution = solve(lambda z: (z[0].cos(),), z0, Anderson(memory=memory), max_iter=12, stop=stop)
    assert solution.converged.all()
