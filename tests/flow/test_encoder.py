import copy
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.optical_flow import raft

from sevenfold.flow.encoder import Block, Encoder, InstanceNorm, Recompute
from sevenfold.flow.variants import BASE, DEQ_VARIANTS, SMALL

NORMS = {"instance": nn.InstanceNorm2d, "batch": nn.BatchNorm2d, "none": None}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("widths", "block", "layers"),
    [
        (BASE, raft.ResidualBlock, (64, 64, 96, 128, 40)),
        (SMALL, raft.BottleneckBlock, (32, 32, 64, 96, 40)),
    ],
    ids=["residual", "bottleneck"],
)
def test_check_10_equals_torchvision(widths, block, layers, norm, training):
    torch.manual_seed(0)
    reference = raft.FeatureEncoder(block=block, layers=layers, strides=(2, 1, 2, 2), norm_layer=NORMS[norm])
    encoder = Encoder(widths, outputs=40, norm=norm)
    encoder.load_state_dict(reference.state_dict())
    encoder, reference = encoder.double().train(training), reference.double().train(training)
    image = torch.rand(2, 3, 48, 64, dtype=torch.float64) * 2 - 1
    torch.testing.assert_close(encoder(image), reference(image), rtol=0, atol=1e-10)


@pytest.mark.parametrize("variant", DEQ_VARIANTS)
def test_resolution_is_the_stride_of_the_widths(variant):
    widths = DEQ_VARIANTS[variant]
    encoder = Encoder(widths, outputs=5, norm="none")
    assert encoder(torch.zeros(1, 3, 32, 48)).shape == (1, 5, 32 // widths.stride, 48 // widths.stride)


def gradients(encoder, image):
    """The output, the gradients of all parameters, and the statistics of batch norms afterwards."""
    found = encoder(image)
    parts = torch.autograd.grad(found.square().sum(), encoder.parameters())
    return found, parts, dict(encoder.named_buffers())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("widths", [BASE, SMALL], ids=["residual", "bottleneck"])
def test_what_is_computed_again_changes_no_gradient_and_no_statistics(widths, norm):
    torch.manual_seed(0)
    reference = Encoder(widths, outputs=8, norm=norm).double()
    image = torch.rand(1, 3, 32, 48, dtype=torch.float64)
    results = []
    for again in (*get_args(Recompute), None):
        encoder = copy.deepcopy(reference)
        for part in encoder.modules():
            if isinstance(part, Block):
                part.recompute = again
        results.append(gradients(encoder, image))
    for found in results[:-1]:
        torch.testing.assert_close(found, results[-1], rtol=1e-12, atol=1e-12)


def test_less_is_kept_for_the_backward_pass(saved_bytes):
    image = torch.rand(1, 3, 64, 64)
    kept = {}
    for again in get_args(Recompute):
        encoder = Encoder(BASE, outputs=8, norm="instance", recompute=again)
        kept[again] = saved_bytes(lambda encoder=encoder: encoder(image), encoder)
    # In units of one map of 64 channels at half resolution. The image and the stem are 2.2; each block keeps
    # its two convolutions' outputs and its own, at most; the maps of later stages are 3/8 and 1/8 as large.
    unit = 64 * 32 * 32 * 4
    small = 0.1 * unit
    assert kept["norms"] < (3 * 64 / 1024 + 2 + 6 + 7 * (3 / 8 + 1 / 8)) * unit + small
    assert kept["blocks"] < (3 * 64 / 1024 + 2 + 2 + 2 * (3 / 8 + 1 / 8)) * unit + small


def test_instance_norm_is_as_exact_as_pytorchs():
    x = torch.randn(2, 5, 40, 50) + 100
    exact = F.instance_norm(x.double())
    errors = [(found - exact).abs().max() for found in (InstanceNorm(5)(x), F.instance_norm(x))]
    assert errors[0] < 2 * errors[1]
