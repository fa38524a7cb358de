"""Restarts: the bookkeeping of the safeguard, and that a restarted solver really forgets."""

import math

import pytest
import torch

from sevenfold.deq.anderson import Anderson
from sevenfold.deq.base import Stop
from sevenfold.deq.broyden import Broyden
from sevenfold.deq.driver import solve
from sevenfold.deq.safeguard import Safeguard


def bump(z, index=None):
    """A map with a kink that throws extrapolation off."""
    return (0.9 * z[0].abs() - 2 * torch.relu(z[0] - 4) + 1 + torch.sin(3 * z[0]),)


def starts():
    return (torch.linspace(-5, 5, 40, dtype=torch.float64).view(8, 5),)


def run(solver, z0, max_iter=40):
    """Solve and return the points where f was evaluated and the absolute residuals there."""
    seen = []
    stop = Stop(mode="abs", tol=1e-9)
    solution = solve(
        lambda z: (seen.append(z[0].clone()), bump(z))[1], z0, solver, max_iter=max_iter, stop=stop
    )
    return torch.stack(seen), solution


SOLVERS = [Anderson(growth=1.5), Anderson(growth=1.5, beta=0.5), Broyden(growth=1.5)]


def test_a_sample_returns_to_its_best_state():
    """Whenever the residual grows beyond the limit the next point evaluated is the best state so far."""
    seen, solution = run(Anderson(growth=2.0), starts(), max_iter=60)
    restarts = 0
    for b in range(8):
        residual, lowest, origin = solution.trace_abs[:, b], math.inf, -1
        for k in range(int(solution.steps[b]) - 1):
            if residual[k] > 2 * lowest:
                best = int(residual[: k + 1].argmin())
                (expected,) = bump((seen[best if best != origin else k, b],))
                torch.testing.assert_close(seen[k + 1, b], expected, rtol=0, atol=1e-12)
                lowest, origin, restarts = math.inf, best, restarts + 1
            else:
                lowest = min(lowest, float(residual[k]))
    assert restarts > 5


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_restart_forgets_what_came_before(solver):
    """From the point it restarts at, a sample follows the path of a new solve, until it restarts again."""
    seen, solution = run(solver, starts())
    checked = 0
    for b in range(8):
        residual = solution.trace_abs[:, b]
        lowest = math.inf
        for k in range(int(solution.steps[b]) - 1):
            if residual[k] <= 1.5 * lowest:
                lowest = min(lowest, float(residual[k]))
                continue
            lowest = math.inf
            again, fresh = run(solver, (seen[k + 1, b][None],), max_iter=6)
            for i in range(len(again)):
                if k + 1 + i >= solution.steps[b]:
                    break
                torch.testing.assert_close(seen[k + 1 + i, b], again[i, 0], rtol=0, atol=1e-6)
                checked += i > 1
                low = fresh.trace_abs[: i + 1, 0].min()
                if fresh.trace_abs[i, 0] > 1.5 * low:
                    break
    assert checked > 10


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("check_every", [1, 3])
def test_restarts_of_one_sample_leave_the_others_alone(solver, check_every):
    stop = Stop(mode="abs", tol=1e-9)
    options = {"max_iter": 25, "stop": stop, "check_every": check_every}
    batch = solve(bump, starts(), solver, **options, compact=True)
    for b in range(8):
        alone = solve(bump, (starts()[0][b : b + 1],), solver, **options)
        torch.testing.assert_close(batch.value[0][b], alone.value[0][0], rtol=0, atol=1e-8)
        assert batch.steps[b] == alone.steps[0]


def test_the_rule():
    guard = Safeguard(torch.zeros(3, dtype=torch.float64), growth=2.0)
    live = torch.tensor([True, True, False])

    def exceeded(*scores):
        return guard.exceeded(torch.tensor(scores, dtype=torch.float64), live).tolist()

    assert exceeded(1.0, 1.0, 1.0) == [False] * 3
    assert exceeded(2.0, 2.1, 9.0) == [False, True, False]
    best = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    restart = torch.tensor([False, True, False])
    assert guard.restart(restart, best).tolist() == [False, True, False]
    assert exceeded(1.5, 50.0, 1.0) == [False] * 3  # the count began anew
    assert exceeded(1.5, 200.0, 1.0) == [False, True, False]
    assert guard.restart(restart, best).tolist() == [False] * 3  # never twice from the same state
    assert exceeded(1.0, 1.0, 1.0) == [False] * 3
    assert exceeded(1.0, 3.0, 1.0) == [False, True, False]
    best[1] = 0.5
    assert guard.restart(restart, best).tolist() == [False, True, False]  # a better one will do
