import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.optical_flow import raft

from sevenfold.flow.attention import Attention, ContextAttention
from sevenfold.flow.update import UpdateBlock
from sevenfold.flow.variants import BASE, SMALL

TOY = replace(
    SMALL, hidden=6, context=5, corr=(8, 7), flow=(6, 4), motion=9, head=10, kernels=((1, 5), (5, 1))
)


def maps(widths, batch=2, height=6, width=8, dtype=torch.float32):
    """Random hidden state, context, correlation and flow."""
    channels = (widths.hidden, widths.context, widths.correlation_channels, 2)
    return [torch.randn(batch, c, height, width, dtype=dtype) for c in channels]


def reference_block(widths):
    """torchvision's update block of the same widths."""
    kernels = widths.kernels
    return raft.UpdateBlock(
        motion_encoder=raft.MotionEncoder(
            in_channels_corr=widths.correlation_channels,
            corr_layers=widths.corr,
            flow_layers=widths.flow,
            out_channels=widths.motion,
        ),
        recurrent_block=raft.RecurrentBlock(
            input_size=widths.context + widths.motion,
            hidden_size=widths.hidden,
            kernel_size=kernels,
            padding=tuple((h // 2, w // 2) for h, w in kernels),
        ),
        flow_head=raft.FlowHead(in_channels=widths.hidden, hidden_size=widths.head),
    )


@pytest.mark.parametrize("widths", [BASE, SMALL, TOY], ids=["base", "small", "toy"])
def test_check_10_equals_torchvision(widths):
    torch.manual_seed(0)
    reference = reference_block(widths)
    block = UpdateBlock(widths, norm="none", gma=False)
    block.load_state_dict(reference.state_dict())
    hidden, context, correlation, flow = maps(widths)
    step = block.prepare(context)
    found, expected = (hidden, None), (hidden, None)
    for _ in range(3):
        found = step(found[0], correlation, flow)
        expected = reference(expected[0], context, correlation, flow)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_weight_norm_is_on_every_convolution_and_evaluated_once_per_pair(monkeypatch):
    block = UpdateBlock(TOY, norm="weight", gma=True)
    convs = [part for part in block.modules() if isinstance(part, nn.Conv2d)]
    assert all(parametrize.is_parametrized(conv, "weight") for conv in convs)
    hidden, context, correlation, flow = maps(TOY)
    attention = ContextAttention(TOY.context)(context)
    prepared = block.prepare(context, attention)
    monkeypatch.setattr(
        nn.utils.parametrizations._WeightNorm, "forward", lambda *_: pytest.fail("weight evaluated again")
    )
    for _ in range(2):
        hidden, _ = prepared(hidden, correlation, flow)


def test_weight_norm_changes_no_output_at_the_start():
    plain = UpdateBlock(TOY, norm="none", gma=False)
    normalized = copy.deepcopy(plain)
    for part in list(normalized.modules()):
        if isinstance(part, nn.Conv2d):
            nn.utils.parametrizations.weight_norm(part)
    hidden, context, correlation, flow = maps(TOY)
    torch.testing.assert_close(
        normalized.prepare(context)(hidden, correlation, flow),
        plain.prepare(context)(hidden, correlation, flow),
    )


def multiply_adds(run):
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 2


def test_the_context_takes_no_part_in_a_step():
    hidden, context, correlation, flow = maps(BASE, batch=1)
    step = UpdateBlock(BASE, norm="weight", gma=False).prepare(context)
    ours = multiply_adds(lambda: step(hidden, correlation, flow))
    theirs = multiply_adds(lambda: reference_block(BASE)(hidden, context, correlation, flow))
    of_context = 2 * 3 * BASE.hidden * BASE.context * 5 * 6 * 8
    assert ours == theirs - of_context <= 0.82 * theirs


@pytest.mark.parametrize("norm", ["weight", "none"])
def test_steps_with_and_without_gradient_agree(norm):
    # They hold their numbers in another order.
    torch.manual_seed(0)
    block = UpdateBlock(TOY, norm=norm, gma=False)
    hidden, context, correlation, flow = maps(TOY)
    with torch.no_grad():
        fast = block.prepare(context)(hidden, correlation, flow)
    tracked = block.prepare(context)(hidden, correlation, flow)
    assert fast[0].is_contiguous(memory_format=torch.channels_last)
    assert tracked[0].is_contiguous()
    torch.testing.assert_close(fast, tracked)


@pytest.mark.parametrize("gma", [False, True])
def test_selected_samples_step_as_in_the_batch(gma):
    block = UpdateBlock(TOY, norm="none", gma=gma)
    hidden, context, correlation, flow = maps(TOY, batch=4)
    step = block.prepare(context, ContextAttention(TOY.context)(context) if gma else None)
    index = torch.tensor([2, 0])
    found = step.select(index)(hidden[index], correlation[index], flow[index])
    for part, whole in zip(found, step(hidden, correlation, flow), strict=True):
        torch.testing.assert_close(part, whole[index])


@pytest.mark.parametrize("store", [True, False])
def test_attention_equals_its_formula_and_passes_gradients(store):
    query, key = torch.randn(2, 2, 12, 5, dtype=torch.float64).requires_grad_()
    values = torch.randn(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    found = Attention.of(query, key, store=store)(values)
    weights = torch.stack([torch.softmax(q @ k.T / 5**0.5, dim=1) for q, k in zip(query, key, strict=True)])
    expected = torch.einsum("bij,bcj->bci", weights, values.flatten(2)).reshape(2, 3, 3, 4)
    torch.testing.assert_close(found, expected)
    ours, theirs = (torch.autograd.grad(x.square().sum(), values)[0] for x in (found, expected))
    torch.testing.assert_close(ours, theirs)


def test_aggregation_adds_gamma_times_attended_motion():
    torch.manual_seed(0)
    block = UpdateBlock(TOY, norm="none", gma=True)
    nn.init.constant_(block.gma.gamma, 0.7)
    context = torch.randn(1, TOY.context, 3, 4)
    attention = ContextAttention(TOY.context)(context)
    motion = torch.randn(1, TOY.motion, 3, 4)
    found = block.gma.prepare(attention)(motion)
    torch.testing.assert_close(found, motion + 0.7 * attention(block.gma.to_v(motion)))


def test_aggregation_without_attention_is_refused():
    block = UpdateBlock(TOY, norm="none", gma=True)
    with pytest.raises(ValueError, match="needs the attention"):
        block.prepare(torch.zeros(1, TOY.context, 3, 4))
