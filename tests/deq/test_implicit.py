"""Implicit gradients against long unrolled ones and finite differences."""

import gc
import logging
import weakref

import pytest
import torch
from torch.autograd import gradcheck

from sevenfold.config import build
from sevenfold.deq import BACKWARDS
from sevenfold.deq.anderson import Anderson
from sevenfold.deq.base import Status, Stop
from sevenfold.deq.driver import solve
from sevenfold.deq.implicit import Implicit
from sevenfold.deq.plain import FixedPoint

EXACT = {"max_products": 300, "tol": 1e-12}


def tanh_problem(size=12, batch=3, device="cpu"):
    """z -> tanh(W z + U x), |W| = 0.9, with parameters W and U and an input x."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(size, size, generator=generator, dtype=torch.float64)
    weight = (0.9 * weight / torch.linalg.matrix_norm(weight, 2)).to(device).requires_grad_()
    inlet = torch.randn(size, 7, generator=generator, dtype=torch.float64).mul_(0.1)
    inlet = inlet.to(device).requires_grad_()
    x = torch.randn(batch, 7, generator=generator, dtype=torch.float64).to(device).requires_grad_()

    def f(z):
        return (torch.tanh(z[0] @ weight.T + x @ inlet.T),)

    return f, (torch.zeros(batch, size, dtype=torch.float64, device=device),), [weight, inlet, x]


def gru_problem(device="cpu"):
    """A small convolutional GRU with a second part, coordinates, as a contraction."""
    generator = torch.Generator().manual_seed(4)

    def kernel(out, into):
        drawn = 0.1 * torch.randn(out, into, 3, 3, generator=generator, dtype=torch.float64)
        return drawn.to(device).requires_grad_()

    gates, candidate, head = kernel(8, 4 + 2 + 2), kernel(4, 4 + 2 + 2), kernel(2, 4)
    context = torch.randn(2, 2, 5, 6, generator=generator, dtype=torch.float64).to(device).requires_grad_()

    def f(z):
        h, c = z
        x = torch.cat([context, torch.sin(c)], 1)
        update, reset = torch.conv2d(torch.cat([h, x], 1), gates, padding=1).sigmoid().chunk(2, 1)
        new = torch.tanh(torch.conv2d(torch.cat([reset * h, x], 1), candidate, padding=1))
        h = (1 - update) * h + update * new
        return h, 0.5 * c + torch.conv2d(h, head, padding=1)

    z0 = tuple(torch.zeros(2, width, 5, 6, dtype=torch.float64, device=device) for width in (4, 2))
    return f, z0, [gates, candidate, head, context]


def loss(state):
    weights = [torch.linspace(0.5, 1.5, part.numel()).view_as(part).to(part.device) for part in state]
    return sum((part * weight).sin().sum() for part, weight in zip(state, weights, strict=True))


def unrolled(f, z0, steps=500):
    z = z0
    for _ in range(steps):
        z = f(z)
    return z


def implicit(f, z0, rule):
    star = solve(f, z0, Anderson(), max_iter=300, stop=Stop(tol=1e-12)).value
    (state,) = rule.attach(f, star)
    return state


def relative_error(found, expected):
    found, expected = (torch.cat([t.flatten() for t in grads]) for grads in (found, expected))
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("problem", [tanh_problem, gru_problem])
def test_check_01_equals_500_unrolled_steps(solver, problem, device):
    f, z0, leaves = problem(device=device)
    expected = torch.autograd.grad(loss(unrolled(f, z0)), leaves)
    rule = Implicit(adjoint=solver, **EXACT)
    found = torch.autograd.grad(loss(implicit(f, z0, rule)), leaves)
    assert relative_error(found, expected) <= 1e-9
    assert rule.latest.converged.all()


def test_check_01_gradcheck():
    f, z0, leaves = tanh_problem(size=4, batch=1)
    weight, inlet, x = leaves

    def fixed_point(weight, x):
        def f(z):
            return (torch.tanh(z[0] @ weight.T + x @ inlet.detach().T),)

        return implicit(f, z0, Implicit(**EXACT))[0]

    assert gradcheck(fixed_point, (weight, x), eps=1e-6, atol=1e-7)


def test_second_derivatives_are_refused():
    """Regression: a gradient hook on a detached state gives silently wrong second derivatives."""
    f, z0, leaves = tanh_problem()
    value = loss(implicit(f, z0, Implicit()))
    with pytest.raises(NotImplementedError, match="phantom"):
        torch.autograd.grad(value, leaves, create_graph=True)


def test_f_is_evaluated_once_whatever_the_number_of_steps(count):
    f, z0, leaves = tanh_problem()
    star = solve(f, z0, Anderson(), max_iter=50).value
    counted = count(f)
    (state,) = Implicit(**EXACT).attach(counted, star)
    torch.autograd.grad(loss(state), leaves)
    assert counted.calls == 1


def test_value_is_one_more_evaluation_and_z_star_gets_no_gradient():
    f, z0, _ = tanh_problem()
    star = tuple(part.requires_grad_() for part in solve(f, z0, Anderson(), max_iter=50).value)
    (state,) = Implicit().attach(f, star)
    torch.testing.assert_close(state, f(star))
    loss(state).backward()
    assert star[0].grad is None


@pytest.mark.parametrize("fail", [False, True])
def test_graphs_are_freed(fail):
    """After (or without) a backward pass nothing of the graph survives the state: no hooks, no cycles."""
    f, z0, leaves = tanh_problem()

    class Held(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            alive.append(weakref.ref(ctx))
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0].isfinite()

    alive = []
    star = solve(f, z0, Anderson(), max_iter=50).value
    gc.disable()
    try:
        (state,) = Implicit(max_products=5).attach(lambda z: (Held.apply(f(z)[0]),), star)
        if not fail:
            loss(state).backward()
        del state
        assert len(alive) == 1 and alive[0]() is None
    finally:
        gc.enable()


def test_backward_twice_over_a_retained_graph():
    f, z0, leaves = tanh_problem()
    value = loss(implicit(f, z0, Implicit(**EXACT)))
    once = torch.autograd.grad(value, leaves, retain_graph=True)
    twice = torch.autograd.grad(value, leaves)
    torch.testing.assert_close(once, twice)


def test_parts_that_do_not_matter_and_unused_outputs():
    """A part f never reads, a part without gradient, and a loss that sees one part only."""
    weight = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)

    def f(z):
        return weight * z[0] + 1, z[0].detach() * 2, torch.ones_like(z[2])

    z0 = tuple(torch.zeros(2, 3, dtype=torch.float64) for _ in range(3))
    state = implicit(f, z0, Implicit(**EXACT))
    (gradient,) = torch.autograd.grad(state[0].sum(), weight)
    torch.testing.assert_close(gradient, torch.tensor(6 / 0.25, dtype=torch.float64))  # d/dw of 1 / (1 - w)


def test_low_precision_inside_f():
    """bf16 inside f gives a rough gradient, not an error."""
    f, z0, leaves = tanh_problem()
    weight, inlet, x = (leaf.detach().float().requires_grad_() for leaf in leaves)

    def low(z):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return ((z[0] @ weight.T + x @ inlet.T).tanh(),)

    star = solve(low, (torch.zeros(3, 12),), Anderson(), max_iter=50).value
    (state,) = Implicit(tol=1e-2).attach(low, star)
    found = torch.autograd.grad(loss(state), [weight, inlet, x])
    expected = torch.autograd.grad(loss(unrolled(f, z0)), leaves)
    assert relative_error([g.double() for g in found], expected) < 0.05


def test_a_failed_backward_solve_is_reported_and_stays_finite(caplog):
    """An expanding f with plain iteration: the products grow without bound."""
    weight = torch.tensor(30.0, requires_grad=True)
    rule = Implicit(adjoint=FixedPoint(), max_products=60)
    with caplog.at_level(logging.WARNING):
        (state,) = rule.attach(lambda z: (weight * z[0] + 1,), (torch.ones(1, 2),))
        state[0].sum().backward()
    assert weight.grad.isfinite()
    assert rule.latest.status.tolist() == [Status.diverged]
    assert not len(rule.latest.value)
    assert "backward solve failed" in caplog.text


def test_is_built_from_options():
    node = {"name": "implicit", "adjoint": {"name": "broyden", "memory": 5}, "max_products": 7, "tol": 1e-4}
    rule = build(BACKWARDS, node, "backward")
    assert (rule.adjoint.memory, rule.max_products, rule.tol) == (5, 7, 1e-4)
    with pytest.raises(ValueError, match=r"backward\.adjoint\.memry"):
        build(BACKWARDS, {"name": "implicit", "adjoint": {"name": "broyden", "memry": 5}}, "backward")
    with pytest.raises(ValueError, match=r"backward\.max_products"):
        build(BACKWARDS, {"name": "implicit", "max_products": 0}, "backward")


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_the_tolerance_is_relative_to_the_gradient(scale):
    """Regression: a floor in the relative residual ends the backward solve at once where losses are small."""
    f, z0, leaves = tanh_problem()
    star = solve(f, z0, Anderson(), max_iter=300, stop=Stop(tol=1e-12)).value
    found = []
    for factor in (1.0, scale):
        (state,) = Implicit(**EXACT).attach(f, star)
        grads = torch.autograd.grad(loss(state) * factor, leaves)
        found.append([g / factor for g in grads])
    assert relative_error(found[1], found[0]) < 1e-9
