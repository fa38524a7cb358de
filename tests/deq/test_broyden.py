"""Broyden's method against its definition and against the torchdeq library."""

import pytest
import torch

from sevenfold.deq.base import Stop
from sevenfold.deq.broyden import Broyden
from sevenfold.deq.driver import solve


def textbook(f, x, beta, steps):
    """The good Broyden update with an explicit Jacobian, for one sample; returns the points it evaluates."""
    points = [x]
    jacobian = -torch.eye(len(x), dtype=x.dtype) / beta
    g = f(x) - x
    for _ in range(steps - 1):
        step = torch.linalg.solve(jacobian, -g)
        x = x + step
        points.append(x)
        old, g = g, f(x) - x
        jacobian += torch.outer(g - old - jacobian @ step, step) / (step @ step)
    return points


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_equals_the_textbook(contraction, beta):
    problem = contraction(size=40, batch=3)
    seen = []

    def f(z):
        seen.append(z[0].clone())
        return problem.f(z)

    solve(f, problem.z0, Broyden(beta=beta), max_iter=20, stop=Stop(tol=0))
    for b in range(3):
        single = problem.bias[b]
        expected = textbook(
            lambda x, single=single: torch.tanh(problem.weight @ x + single), problem.z0[0][b], beta, 20
        )
        for k in range(20):
            torch.testing.assert_close(seen[k][b], expected[k], rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", ["linear", "tanh"])
def test_check_03_evaluations_against_torchdeq(contraction, count, kind):
    solver = pytest.importorskip(
        "torchdeq.solver", reason="torchdeq, the other side of the comparison, is absent"
    )
    for radius in (0.5, 0.9, 0.99):
        problem = contraction(kind, radius, size=256)
        theirs = count(lambda x, problem=problem: problem.f((x,))[0])
        solver.get_solver("broyden")(theirs, problem.z0[0], max_iter=400, tol=1e-8, stop_mode="rel")
        ours = solve(problem.f, problem.z0, Broyden(), max_iter=400, stop=Stop(tol=1e-8))
        assert ours.converged.all()
        assert ours.steps.max() <= 1.3 * theirs.calls


@pytest.mark.parametrize("memory", [2, 3, 10])
def test_limited_memory_forgets_and_goes_on(contraction, memory):
    problem = contraction("linear", 0.9)
    seen = []

    def f(z):
        seen.append(z[0].clone())
        return problem.f(z)

    solution = solve(f, problem.z0, Broyden(memory=memory), max_iter=200, stop=Stop(tol=1e-8))
    assert solution.converged.all()
    # once full, only the newest step is known: x <- x + r / (1 - <s, r> / <s, s>)
    x, step = seen[memory + 1], seen[memory + 1] - seen[memory]
    r = problem.f((x,))[0] - x
    c = (step * r).sum(1) / (step * step).sum(1)
    torch.testing.assert_close(seen[memory + 2], x + r / (1 - c)[:, None])


def test_room_grows_only_with_the_steps_taken(contraction):
    problem = contraction(size=16)
    solver = Broyden()
    memory = solver.start(problem.z0[0], 1000)
    assert len(memory.steps) == 8
    x, y, r = problem.z0[0].clone(), None, None
    for _ in range(20):
        (y,) = problem.f((x,))
        r = y - x
        solver.step(memory, x, y, r)
    assert len(memory.steps) == 32 and memory.count == 20
    assert r.norm() < 1e-4


@pytest.mark.parametrize("options", [{"memory": 0}, {"beta": 0}, {"growth": 1.0}])
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Broyden(**options)
