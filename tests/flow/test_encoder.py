import pytest
import torch
from torch import nn
from torchvision.models.optical_flow import raft

from sevenfold.flow.encoder import Encoder
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
def test_equals_torchvision(widths, block, layers, norm, training):
    torch.manual_seed(0)
    reference = raft.FeatureEncoder(block=block, layers=layers, strides=(2, 1, 2, 2), norm_layer=NORMS[norm])
    encoder = Encoder(widths, outputs=40, norm=norm)
    encoder.load_state_dict(reference.state_dict())
    encoder.train(training)
    reference.train(training)
    image = torch.rand(2, 3, 48, 64) * 2 - 1
    torch.testing.assert_close(encoder(image), reference(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", DEQ_VARIANTS)
def test_resolution_is_the_stride_of_the_widths(variant):
    widths = DEQ_VARIANTS[variant]
    encoder = Encoder(widths, outputs=5, norm="none")
    assert encoder(torch.zeros(1, 3, 32, 48)).shape == (1, 5, 32 // widths.stride, 48 // widths.stride)
