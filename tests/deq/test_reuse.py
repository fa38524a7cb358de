"""Fixed-point reuse over sequences."""

import pytest
import torch

from sevenfold.deq.base import Stop
from sevenfold.deq.driver import solve
from sevenfold.deq.reuse import Reuse


def test_check_15_a_warm_start_needs_few_steps_and_a_new_sequence_starts_afresh(solver, contraction):
    problem = contraction(size=32, batch=3)
    reuse, steps = Reuse(), []
    for names in (["a", "b", "c"], ["a", "b", "c"], ["a", "new", "c"]):
        z0 = reuse.start(problem.z0, names)
        solution = solve(problem.f, z0, solver, max_iter=300, stop=Stop(tol=1e-8))
        reuse.store(solution.value, names)
        steps.append(solution.steps.tolist())
    cold, warm, mixed = steps
    assert min(cold) > 10
    assert max(warm) <= 3
    assert mixed[0] <= 3 and mixed[2] <= 3 and mixed[1] == cold[1]


def state(value, batch=2, width=3):
    return (torch.full((batch, width), float(value)), torch.full((batch, 1), float(value)))


def test_samples_follow_their_sequence_through_the_batch():
    reuse = Reuse()
    reuse.store((torch.tensor([[1.0], [2.0]]),), ["a", "b"])
    (z,) = reuse.start((torch.zeros(3, 1),), ["b", "c", "a"])
    assert z.flatten().tolist() == [2.0, 0.0, 1.0]


def test_parts_and_projection():
    reuse = Reuse(parts=[1], project=lambda z: tuple(part + 10 for part in z))
    reuse.store(state(5), ["a", "b"])
    z = reuse.start(state(0), ["a", "x"])
    assert z[0].unique().tolist() == [0.0]
    assert z[1].flatten().tolist() == [15.0, 0.0]


def test_new_shapes_broken_states_and_reset_start_afresh():
    reuse = Reuse()
    reuse.store(state(5, width=4), ["a", "b"])
    assert reuse.start(state(0), ["a", "b"])[0].unique().tolist() == [0.0]
    broken = state(5)
    broken[1][1] = torch.nan
    reuse.store(broken, ["a", "b"])
    assert [part[:, 0].tolist() for part in reuse.start(state(0), ["a", "b"])] == [[5.0, 0.0]] * 2
    reuse.reset()
    assert reuse.start(state(0), ["a", "b"])[0].unique().tolist() == [0.0]


def test_nothing_of_the_graph_is_carried_and_mistakes_are_refused():
    reuse = Reuse()
    reuse.store((torch.ones(1, 1, requires_grad=True) * 2,), ["a"])
    assert not reuse.start((torch.zeros(1, 1),), ["a"])[0].requires_grad
    with pytest.raises(ValueError, match="2 sequence names"):
        reuse.start((torch.zeros(1, 1),), ["a", "b"])
