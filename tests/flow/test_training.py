import pytest
import torch

from sevenfold.deq.driver import solve
from sevenfold.deq.plain import FixedPoint
from sevenfold.flow.network import Estimate
from sevenfold.flow.training import StaleStart, draw_iterations, measures, rate_factor


def state(value, batch=4, size=3):
    return torch.full((batch, 2, size, size), float(value)), torch.full((batch, 2, size, size), 10.0 * value)


def test_draws_depend_on_seed_and_step_alone_and_reach_every_choice():
    choices = [2, 3, 4, 6]
    drawn = [draw_iterations(choices, 7, step) for step in range(200)]
    assert drawn == [draw_iterations(choices, 7, step) for step in range(200)]
    assert drawn != [draw_iterations(choices, 8, step) for step in range(200)]
    assert all(30 < drawn.count(choice) < 70 for choice in choices)


def test_the_stated_share_starts_from_the_last_batch():
    stale = StaleStart(0.5, seed=0)
    assert stale.mix(state(0), 0)[0].eq(0).all()
    stale.keep(state(1))
    replaced = []
    for step in range(20):
        hidden, flow = stale.mix(state(0), step)
        chosen = hidden[:, 0, 0, 0]
        assert chosen.sum() == 2
        assert torch.equal(flow[:, 0, 0, 0], 10 * chosen)
        replaced.append(tuple(chosen.tolist()))
    assert len(set(replaced)) > 3
    hidden, _ = stale.mix(state(0), 5)
    assert tuple(hidden[:, 0, 0, 0].tolist()) == replaced[5]


def test_other_shapes_and_resets_start_fresh():
    stale = StaleStart(1.0, seed=0)
    stale.keep(state(1))
    assert stale.mix(state(0), 0)[0].eq(1).all()
    assert stale.mix(state(0, size=4), 0)[0].eq(0).all()
    stale.reset()
    assert stale.mix(state(0), 0)[0].eq(0).all()


def test_kept_states_carry_no_gradient_and_a_share_of_zero_changes_nothing():
    stale = StaleStart(0.0, seed=0)
    stale.keep(tuple(part.requires_grad_() for part in state(1)))
    assert not any(part.requires_grad for part in stale.state)
    assert stale.mix(state(0), 0)[0].eq(0).all()


@pytest.mark.parametrize(("steps", "warmup"), [(40, 0.25), (100, 0.05)])
def test_the_rate_is_torchs_linear_one_cycle_to_a_ten_thousandth(steps, warmup):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    # torch counts a cycle from its first to its last step, one less than their number.
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=steps + 1,
        pct_start=(warmup * steps + 1) / (steps + 1),
        anneal_strategy="linear",
        cycle_momentum=False,
        final_div_factor=1e9,
    )
    for step in range(steps):
        assert rate_factor(step, steps, warmup) == pytest.approx(cycle.get_last_lr()[0], abs=1e-4)
        optimizer.step()
        cycle.step()


def test_the_rate_ends_at_zero_and_stays_there():
    assert rate_factor(100, 100, 0.05) == 0
    assert rate_factor(120, 100, 0.05) == 0
    assert rate_factor(0, 100, 0.0) == 1
    assert rate_factor(0, 0, 0.05) == 0  # the last fifth of a training of one step has none


def test_measures_are_those_of_valid_pixels_and_of_every_sample():
    flow = torch.zeros(2, 2, 1, 4)
    flow[1, 0] = float("nan")  # nothing is known there
    valid = torch.tensor([[[1, 1, 1, 0]], [[0, 0, 0, 0]]], dtype=torch.bool)
    flows = [torch.zeros(2, 2, 1, 4)]
    flows[0][0, 0, 0] = torch.tensor([0.5, 2.0, 4.0, 100.0])
    solution = solve(
        lambda z: (torch.tensor([[0.5], [2.0]]) * z[0],), (torch.ones(2, 1),), FixedPoint(), max_iter=3
    )
    found = measures(Estimate(flows, state(0, 2), torch.tensor(0.25), solution), flow, valid)
    assert float(found["epe"]) == pytest.approx(6.5 / 3) and float(found["last_step"]) == 0.25
    assert [float(found[f"{n}px"]) for n in (1, 3, 5)] == pytest.approx([100 / 3, 200 / 3, 100])
    assert float(found["residual"]) == pytest.approx(0.75, abs=1e-6)
    assert float(found["residual_max"]) == pytest.approx(1, abs=1e-6)
    assert float(found["evaluations"]) == 3 and float(found["converged"]) == float(found["failed"]) == 0
    assert set(measures(Estimate(flows, state(0, 2), torch.tensor(0.25)), flow, valid)) == {
        "epe", "last_step", "1px", "3px", "5px"
    }  # fmt: skip
