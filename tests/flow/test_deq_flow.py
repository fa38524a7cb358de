from typing import get_args, get_type_hints

import pytest
import torch

from sevenfold.config import ConfigError
from sevenfold.deq.base import Stop
from sevenfold.deq.correction import Correction
from sevenfold.flow.deq_flow import DEQFlow
from sevenfold.flow.network import Design
from sevenfold.flow.raft import RAFT
from sevenfold.flow.upsample import pixel_grid
from sevenfold.flow.variants import DEQ_VARIANTS

EVERY_STEP = Stop(mode="rel", tol=0.0)


def pair(batch=2, height=32, width=32):
    stream = torch.Generator().manual_seed(0)
    return torch.rand(2, batch, 3, height, width, generator=stream)


def demo(**options):
    torch.manual_seed(0)
    return DEQFlow(variant="demo", **{"stop": EVERY_STEP, **options})


# Millions of parameters: the official counts where there are logs (5.243, 12.800, 13.395), else counted from
# the widths; "small" is of version 1.
SIZES = {
    ("tiny", False): 2.491,
    ("B", False): 5.243,
    ("L", False): 8.674,
    ("H", False): 13.395,
    ("G", False): 23.249,
    ("L_v1", False): 8.450,
    ("H_v1", False): 12.800,
    ("G_v1", False): 21.914,
    ("B", True): 5.784,
    ("H", True): 15.558,
    ("H_v1", True): 14.963,
    ("small", False): 0.982,
}


@pytest.mark.parametrize(("variant", "gma"), SIZES)
def test_check_09_parameter_counts_are_the_published_ones(variant, gma):
    network = DEQFlow(variant=variant, design=Design(gma=gma))
    count = sum(p.numel() for p in network.parameters())
    assert round(count / 1e6, 3) == SIZES[variant, gma]


def test_every_variant_of_the_table_can_be_named_and_no_other():
    assert set(get_args(get_type_hints(DEQFlow.__init__)["variant"])) == set(DEQ_VARIANTS)


def test_raft_and_deq_share_names_and_steps():
    network, raft = demo().eval(), RAFT(variant="demo", design=Design()).eval()
    raft.load_state_dict(network.state_dict())
    images = pair()
    with torch.no_grad():
        torch.testing.assert_close(
            network(*images, iterations=1).flows[0], raft(*images, iterations=1).flows[0]
        )


@pytest.mark.parametrize("graph", ["sliced", "indexing"])
def test_training_returns_n_states_and_evaluation_one(graph, device):
    network, images = demo(correction=Correction(n=3, graph=graph)).to(device), pair().to(device)
    estimate = network(*images, iterations=6)
    assert [flow.shape for flow in estimate.flows] == [(2, 2, 32, 32)] * 3
    assert all(flow.requires_grad for flow in estimate.flows)
    assert estimate.last_step.requires_grad
    assert estimate.solution.steps.tolist() == [6, 6]
    with torch.no_grad():
        (flow,) = network.eval()(*images, iterations=6).flows
    assert not flow.requires_grad


def test_sliced_training_by_hand():
    network = demo(correction=Correction(n=2))
    images = pair()
    estimate = network(*images, iterations=4)
    f = network.recurrence(*images)
    state, flows = f.start, []
    for _ in range(2):
        with torch.no_grad():
            for _ in range(2):
                state = f(state)
        state = f(tuple(part.detach() for part in state))
        flows.append(network.decode(state))
        state = tuple(part.detach() for part in state)
    for ours, by_hand in zip(estimate.flows, flows, strict=True):
        torch.testing.assert_close(ours, by_hand)
    network.zero_grad()
    ours, by_hand = (
        torch.autograd.grad(sum(flow.abs().mean() for flow in each), network.update_block.parameters())
        for each in (estimate.flows, flows)
    )
    for a, b in zip(ours, by_hand, strict=True):
        torch.testing.assert_close(a, b)


def test_every_parameter_learns():
    network = demo(correction=Correction(n=2), design=Design(gma=True))
    estimate = network(*pair(), iterations=4)
    (estimate.flows[-1].abs().mean() + estimate.last_step).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def kept(saved_bytes, network, iterations):
    """Bytes kept for the backward pass of one estimate."""
    return saved_bytes(lambda: sum(map(torch.sum, network(*pair(), iterations=iterations).flows)), network)


@pytest.mark.parametrize("backward", ["phantom", "implicit"])
def test_check_07_saved_bytes_do_not_grow_with_the_steps(saved_bytes, backward):
    network = demo(backward={"name": backward})
    assert kept(saved_bytes, network, 36) == pytest.approx(kept(saved_bytes, network, 6), rel=0.01)


def test_check_07_saved_bytes_grow_by_as_much_with_every_unrolled_step(saved_bytes):
    network = RAFT(variant="demo", design=Design())
    sizes = [kept(saved_bytes, network, steps) for steps in (6, 12, 18)]
    assert sizes[2] - sizes[1] == pytest.approx(sizes[1] - sizes[0], rel=0.01)
    assert sizes[1] > 1.4 * sizes[0]


@pytest.mark.parametrize("n", [1, 3])
def test_each_supervised_state_keeps_as_much_as_one_unrolled_step(saved_bytes, n):
    unrolled = RAFT(variant="demo", design=Design())
    step = kept(saved_bytes, unrolled, 2) - kept(saved_bytes, unrolled, 1)
    first = kept(saved_bytes, demo(correction=Correction(n=1)), 6)
    more = kept(saved_bytes, demo(correction=Correction(n=n)), 6)
    assert first <= 1.01 * kept(saved_bytes, unrolled, 1)
    assert more - first <= 1.04 * (n - 1) * step  # it also holds the solver's copy of the state, padded


def test_implicit_gradient_of_the_flow_equals_a_long_tracked_unroll(device):
    network = demo(backward={"name": "implicit", "max_products": 100, "tol": 1e-10}).double().to(device)
    with torch.no_grad():  # a contraction that leaves the flow where it is: both sides converge
        for name, value in network.update_block.named_parameters():
            if name.endswith("original0"):
                value.mul_(0.0 if "flow_head.conv2" in name else 0.5)
            elif name.endswith("flow_head.conv2.bias"):
                value.zero_()
    f = network.recurrence(*pair(1, 16, 16).double().to(device))
    target = torch.randn(1, 32, 4, 4, dtype=torch.float64).to(device)
    estimate = network.estimate(f, iterations=60)
    parameters = [p for name, p in network.update_block.named_parameters() if "flow_head" not in name]
    ours = torch.autograd.grad((estimate.state[0] * target).sum(), parameters, retain_graph=True)
    state = tuple(part.detach() for part in estimate.state)
    for _ in range(60):
        state = f(state)
    unrolled = torch.autograd.grad((state[0] * target).sum(), parameters)
    for a, b in zip(ours, unrolled, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("detach", [True, False])
def test_check_17_gradient_through_the_flow_on_entry_is_cut_exactly_where_asked(detach):
    f = demo(detach_coords=detach).recurrence(*pair())
    hidden, flow = (part.clone().requires_grad_() for part in f.start)
    sum(part.square().sum() for part in f((hidden, flow))).backward()
    assert hidden.grad.abs().max() > 0
    assert (flow.grad is None) == detach
    if not detach:
        assert flow.grad.abs().max() > 0


@pytest.mark.parametrize("gma", [False, True])
@pytest.mark.parametrize("correlation", ["all_pairs", "on_demand"])
def test_samples_are_estimated_alone_as_in_a_batch_also_when_finished_ones_leave(gma, correlation):
    options = {
        "design": Design(gma=gma, correlation=correlation),
        "solver": {"name": "anderson"},
        "stop": Stop(mode="rel", tol=0.05),
    }
    images = pair(4).double()
    images[:, 1] = 0.5  # an easy pair
    whole = demo(**options).double().eval()
    with torch.no_grad():
        together = whole(*images, iterations=40)
        alone = [whole(*images[:, i : i + 1], iterations=40) for i in range(4)]
    assert len(set(together.solution.steps.tolist())) > 1
    assert together.solution.steps.tolist() == [int(each.solution.steps) for each in alone]
    for i, each in enumerate(alone):
        # Forty accelerated steps far from a fixed point multiply rounding by up to 1e7.
        torch.testing.assert_close(together.flows[0][i : i + 1], each.flows[0], rtol=1e-7, atol=1e-7)


def test_residuals_compare_with_the_flow_or_with_the_coordinates():
    images = pair()
    residuals, states = {}, {}
    for residual in ("flow", "reference"):
        network = demo(residual=residual, returned="last").eval()
        with torch.no_grad():
            f = network.recurrence(*images)
            before = network.estimate(f, iterations=2)
            after = network.estimate(f, iterations=1, start=before.state)
        residuals[residual], states[residual] = after.solution, (before.state, after.state)
    (hidden, flow), (new_hidden, new_flow) = states["flow"]
    step = torch.cat([(new_hidden - hidden).flatten(1), (new_flow - flow).flatten(1)], dim=1).norm(dim=1)
    for residual, place in (("flow", new_flow), ("reference", new_flow + pixel_grid(new_flow))):
        size = torch.cat([new_hidden.flatten(1), place.flatten(1)], dim=1).norm(dim=1)
        torch.testing.assert_close(residuals[residual].residual_abs.float(), step)
        torch.testing.assert_close(residuals[residual].residual_rel.float(), step / size)
    pixels = 4 * (new_flow - flow).norm(dim=1).mean(dim=(1, 2))
    torch.testing.assert_close(residuals["flow"].trace_pixels[-1].float(), pixels)


def test_a_correction_that_does_not_fit_is_refused():
    network = demo(correction=Correction(n=5))
    network.check_iterations(5)
    with pytest.raises(ValueError, match="supervise"):
        network.check_iterations(4)
    with pytest.raises(ValueError, match="at least one step"):
        network.check_iterations(0)


def test_plain_iteration_for_the_implicit_gradient_needs_detached_coordinates():
    backward = {"name": "implicit", "adjoint": {"name": "fixed_point"}}
    demo(backward=backward)
    demo(backward={"name": "implicit"}, detach_coords=False)
    with pytest.raises(ConfigError, match="backward.adjoint.*use gmres, or detach_coords"):
        demo(backward=backward, detach_coords=False)


def test_starting_from_its_own_end_goes_on():
    network = demo().eval()
    images = pair()
    with torch.no_grad():
        first = network(*images, iterations=3)
        second = network(*images, iterations=2, start=first.state)
        whole = network(*images, iterations=5)
    torch.testing.assert_close(second.flows, whole.flows)


@pytest.mark.parametrize("network", ["raft", "plain", "anderson"])
def test_budgets_share_one_solve_and_change_no_answer(network):
    torch.manual_seed(0)
    if network == "raft":
        model = RAFT(variant="demo").eval()
    else:
        solver = {"name": "fixed_point" if network == "plain" else "anderson"}
        model = DEQFlow(variant="demo", solver=solver, stop=Stop(mode="rel", tol=0.0)).eval()
    images = torch.rand(2, 2, 3, 32, 32)
    with torch.no_grad():
        f = model.recurrence(*images)
        budgets = [7, 2, 4]
        for steps, flow in zip(budgets, model.flows_at(f, budgets), strict=True):
            assert torch.equal(flow, model.estimate(f, iterations=steps).flows[-1])


def test_unrolled_steps_are_those_of_a_training_step_and_reversal_is_refused():
    network = demo(backward={"name": "unrolled", "steps": 6})
    network.check_iterations(6)
    with pytest.raises(ValueError, match="iterates 6 steps"):
        network.check_iterations(12)
    network.eval().check_iterations(12)
    with pytest.raises(ConfigError, match="backward.name.*unrolled"):
        demo(backward={"name": "reversible"})
