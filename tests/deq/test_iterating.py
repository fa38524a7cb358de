"""Rules that iterate in place of the solve: exact for what they iterated, within their memory."""

from typing import Any

import pytest
import torch
from torch import Tensor

from sevenfold.deq import DEQ, PreflightError, Reversible, Stop, Unrolled
from sevenfold.deq.correction import Correction
from sevenfold.deq.errors import ReversibleError
from tests.deq.problems import F64, contraction, normal, relative_error

BATCH, SIZE = 4, 64


def parts(radius: float, kind: torch.dtype = F64) -> tuple[Tensor, Tensor, Tensor]:
    weight = contraction(SIZE, radius).to(kind).requires_grad_()
    x = (0.1 * normal(BATCH, SIZE, name=1)).to(kind).requires_grad_()
    return weight, x, (0.1 * normal(BATCH, SIZE, name=2)).to(kind).requires_grad_()


def f(z: tuple[Tensor, ...], args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (torch.tanh(z[0] @ args[0].T + args[1]),)


@pytest.mark.parametrize("damping", [1.0, 0.6])
@pytest.mark.parametrize("recompute", [True, False])
def test_unrolled_equals_backpropagation_written_out(recompute: bool, damping: float) -> None:
    weight, x, z0 = parts(0.9)
    z = z0
    for _ in range(9):
        z = (1 - damping) * z + damping * torch.tanh(z @ weight.T + x)
    expected = torch.autograd.grad(z.square().sum(), [weight, x, z0])
    rule = Unrolled(steps=9, damping=damping, recompute=recompute)
    state = rule.iterate(f, (z0,), (weight, x))[-1]
    found = torch.autograd.grad(state[0].square().sum(), [weight, x, z0])
    assert relative_error(found, expected) <= 1e-12
    (closure,) = rule.attach(lambda z: f(z, (weight, x)), (z0,))[-1]
    again = torch.autograd.grad(closure.square().sum(), [weight, x, z0])
    assert relative_error(again, expected) <= 1e-12


def saved(rule: Unrolled | Reversible) -> int:
    """Return the bytes kept between the passes beside arguments and start, for f with a wide inner layer."""
    wide = (0.01 * normal(40 * SIZE, SIZE, name=3)).requires_grad_()
    x, z0 = normal(BATCH, SIZE, name=4).requires_grad_(), normal(BATCH, SIZE, name=5).requires_grad_()
    outside = {t.untyped_storage().data_ptr() for t in (wide, x, z0)}
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        held = rule.iterate(lambda z, a: (torch.tanh(z[0] @ a[0].T) @ a[0] + a[1],), (z0,), (wide, x))
    assert held[-1][0].requires_grad
    return sum(size for place, size in storages.items() if place not in outside)


def test_recomputation_keeps_the_iterates_and_reversal_two_states() -> None:
    state = BATCH * SIZE * 8
    more = (saved(Unrolled(steps=12)) - saved(Unrolled(steps=4))) / 8
    assert more <= 1.2 * state < (saved(Unrolled(steps=12, recompute=False)) - saved(Unrolled(steps=4))) / 8
    assert saved(Reversible(steps=12)) == saved(Reversible(steps=3)) <= 2 * state


def reversible_error(
    radius: float, beta: float, pairs: int, sums: str, kind: torch.dtype
) -> tuple[float, Any]:
    """Return the error against backpropagation through the same iteration in float64, and the rule."""
    weight, x, z0 = parts(radius)
    y = z = z0
    for _ in range(pairs):
        y = (1 - beta) * y + beta * torch.tanh(z @ weight.T + x)
        z = (1 - beta) * z + beta * torch.tanh(y @ weight.T + x)
    expected = torch.autograd.grad(z.square().sum(), [weight, x, z0])
    leaves = [part.detach().to(kind).requires_grad_() for part in (weight, x, z0)]
    rule = Reversible(steps=pairs, beta=beta, accumulate=sums, max_reconstruction=1e30)  # type: ignore[arg-type]
    (state,) = rule.iterate(f, (leaves[2],), tuple(leaves[:2]))
    found = torch.autograd.grad(state[0].square().sum(), leaves)
    return relative_error([g.double() for g in found], expected), rule


def test_reversal_is_exact_and_certifies_itself() -> None:
    for radius in (0.9, 0.99):
        assert reversible_error(radius, 0.5, 12, "float64", F64)[0] <= 1e-10
        assert reversible_error(radius, 0.5, 12, "float64", torch.float32)[0] <= 1e-6
    for beta in (0.2, 0.5, 0.8):
        for pairs in (4, 8, 12, 16, 24):
            for sums in ("float64", "float32"):
                error, rule = reversible_error(0.9, beta, pairs, sums, torch.float32)
                assert error <= max(rule.reconstruction, 1e-6)


def test_what_reversal_cannot_do_is_refused() -> None:
    weight, x, z0 = (part.detach().float().requires_grad_() for part in parts(0.9))
    (state,) = Reversible(steps=24, accumulate="float32").iterate(f, (z0,), (weight, x))
    with pytest.raises(ReversibleError, match="float64 sums"):
        state[0].sum().backward()
    (state,) = Reversible(steps=4).iterate(f, (z0,), (weight, x))
    with pytest.raises(NotImplementedError, match="unrolled"):
        torch.autograd.grad(state[0].sum(), weight, create_graph=True)
    with pytest.raises(PreflightError, match="outside args"):
        Reversible(steps=4).iterate(lambda z, _: f(z, (weight, x)), (z0,), ())


def test_a_layer_iterates_in_training_and_solves_in_evaluation() -> None:
    weight, x, z0 = parts(0.9)
    layer = DEQ(
        backward=Unrolled(steps=12), max_iter=200, stop=Stop(tol=1e-10), correction=Correction(n=3, gamma=0.5)
    )
    states, record = layer(lambda z: f(z, (weight, x)), (z0.detach(),))
    assert len(states) == 3 and record.steps.tolist() == [12] * BATCH
    before = (z0.detach(),)
    for _ in range(11):
        before = f(before, (weight, x))
    last = f(before, (weight, x))[0] - before[0]
    torch.testing.assert_close(record.residual_abs, last.norm(dim=1))
    exact = layer.eval()(lambda z: f(z, (weight, x)), (z0.detach(),))[1]
    assert exact.converged.all() and (exact.residual_rel < record.residual_rel).all()
