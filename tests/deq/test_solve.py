"""The driver, over all solvers of the table."""

from importlib import import_module

import pytest
import torch

from sevenfold.deq import SOLVERS
from sevenfold.deq.base import Status, Stop
from sevenfold.deq.fixed_point import FixedPoint
from sevenfold.deq.solve import solve


def make(name, **options):
    module, cls = SOLVERS[name].split(":")
    return getattr(import_module(module), cls)(**options)


@pytest.fixture(params=SOLVERS)
def solver(request):
    return make(request.param)


@pytest.mark.parametrize("kind", ["linear", "tanh"])
@pytest.mark.parametrize("radius", [0.5, 0.9])
def test_finds_the_fixed_point(solver, contraction, kind, radius):
    f, z0 = contraction(kind, radius, size=64)
    solution = solve(f, z0, solver, max_iter=400, stop=Stop(tol=1e-10))
    assert solution.converged.all()
    exact = z0
    for _ in range(600):
        exact = f(exact)
    torch.testing.assert_close(solution.value, exact, rtol=0, atol=1e-8)
    torch.testing.assert_close(solution.steps, (~solution.trace_rel.isnan()).sum(0))


def test_check_04_a_batch_is_solved_as_its_samples_alone(solver, contraction):
    f, _ = contraction("tanh", 0.9, size=32, batch=6)
    scale = torch.tensor([1.0, 0.0, 0.1, 1.0, 0.0, 0.5], dtype=torch.float64)[:, None]

    def mixed(z, index=None):
        s = scale if index is None else scale[index]
        return (s * f(z, index)[0] + (1 - s) * 0.3,)

    z0 = (torch.zeros(6, 32, dtype=torch.float64),)
    options = {"max_iter": 200, "stop": Stop(tol=1e-9)}
    alone = [
        solve(lambda z, i=i: mixed(z, torch.tensor([i])), (z0[0][i : i + 1],), solver, **options)
        for i in range(6)
    ]
    for compact in (False, True):
        batch = solve(mixed, z0, solver, compact=compact, **options)
        assert batch.steps.tolist() == [one.steps.item() for one in alone]
        torch.testing.assert_close(
            batch.value[0], torch.cat([one.value[0] for one in alone]), rtol=0, atol=1e-10
        )


def test_nonfinite_f_gives_the_best_finite_state(solver, contraction):
    f, z0 = contraction(size=16)
    calls = []

    def breaks(z):
        calls.append(1)
        return (f(z)[0] * (torch.nan if len(calls) > 3 else 1),)

    solution = solve(breaks, z0, solver, max_iter=20, stop=Stop(tol=1e-12))
    assert (solution.status == Status.nonfinite).all()
    assert solution.value[0].isfinite().all()
    assert len(calls) == 4


def test_bad_arguments_are_refused(contraction):
    f, z0 = contraction(size=4)
    for options in ({"max_iter": 0}, {"indexing": [3, 2]}, {"indexing": [9]}, {"check_every": 0}):
        with pytest.raises(ValueError, match="expected"):
            solve(f, z0, FixedPoint(), **{"max_iter": 5, **options})
    with pytest.raises(TypeError, match="tuple of tensors"):
        solve(f, z0[0], FixedPoint(), max_iter=5)
    with pytest.raises(ValueError, match="f must return"):
        solve(lambda z: (z[0][:1],), z0, FixedPoint(), max_iter=5)
