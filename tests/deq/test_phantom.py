"""Phantom gradients: exact small cases, and their approach to the implicit gradient."""

from types import SimpleNamespace

import pytest
import torch

from sevenfold.deq.anderson import Anderson
from sevenfold.deq.base import Stop
from sevenfold.deq.driver import solve
from sevenfold.deq.implicit import Implicit
from sevenfold.deq.phantom import Phantom


def parametric():
    """Return z -> tanh(W z + b), |W| = 0.9, with W as its parameter, and its fixed point."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(24, 24, generator=generator, dtype=torch.float64)
    weight = (0.9 * weight / torch.linalg.matrix_norm(weight, 2)).requires_grad_()
    bias = torch.randn(2, 24, generator=generator, dtype=torch.float64)
    problem = SimpleNamespace(f=lambda z: (torch.tanh(z[0] @ weight.T + bias),), weight=weight)
    z0 = (torch.zeros(2, 24, dtype=torch.float64),)
    return problem, solve(problem.f, z0, Anderson(), max_iter=300, stop=Stop(tol=1e-13)).value


def gradient(rule, problem, star):
    state = rule.attach(problem.f, star)[-1]
    weights = torch.linspace(-1, 1, state[0].numel(), dtype=torch.float64).view_as(state[0])
    return torch.autograd.grad((state[0] * weights).sum(), problem.weight)[0]


def test_check_02_error_falls_with_steps():
    problem, star = parametric()
    exact = gradient(Implicit(max_products=300, tol=1e-13), problem, star)
    errors = []
    for steps in (1, 2, 5, 20, 200):
        found = gradient(Phantom(steps=steps), problem, star)
        errors.append(float((found - exact).norm() / exact.norm()))
        if steps == 1:
            assert torch.cosine_similarity(found.flatten(), exact.flatten(), dim=0) >= 0.9
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] <= 1e-6


def test_damping_slows_the_approach():
    problem, star = parametric()
    exact = gradient(Implicit(max_products=300, tol=1e-13), problem, star)
    full, half = (
        (gradient(Phantom(steps=5, damping=tau), problem, star) - exact).norm() / exact.norm()
        for tau in (1.0, 0.5)
    )
    assert full < half < 1


@pytest.mark.parametrize("damping", [1.0, 0.3])
def test_states_and_gradients_are_those_of_the_written_steps(damping):
    weight = torch.tensor([0.3, -0.5], dtype=torch.float64, requires_grad=True)
    star = (torch.tensor([[1.0, 2.0]], dtype=torch.float64, requires_grad=True),)

    def f(z):
        return (weight * z[0] + 1,)

    states = Phantom(steps=3, damping=damping, supervise="all").attach(
        f, tuple(part.detach() for part in star)
    )
    expected = []
    z = star[0].detach()
    for _ in range(3):
        z = (1 - damping) * z + damping * (weight * z + 1)
        expected.append(z)
    assert len(states) == 3
    for (found,), wanted in zip(states, expected, strict=True):
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close(
            torch.autograd.grad(found.sum(), weight, retain_graph=True),
            torch.autograd.grad(wanted.sum(), weight, retain_graph=True),
        )
    (last,) = Phantom(steps=3, damping=damping).attach(f, tuple(part.detach() for part in star))
    torch.testing.assert_close(last, states[-1])


def test_gradients_are_recorded_even_where_they_are_disabled_outside():
    problem, star = parametric()
    with torch.no_grad():
        (state,) = Phantom().attach(problem.f, star)
    assert state[0].requires_grad


@pytest.mark.parametrize("options", [{"steps": 0}, {"damping": 0}, {"damping": 1.5}, {"supervise": "some"}])
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Phantom(**options)
