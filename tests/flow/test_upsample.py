import pytest
import torch
from torchvision.models.optical_flow._utils import make_coords_grid, upsample_flow
from torchvision.models.optical_flow.raft import MaskPredictor as Reference

from sevenfold.flow.upsample import MaskPredictor, bilinear_upsample, convex_upsample, pixel_grid


@pytest.mark.parametrize("factor", [8, 4])
def test_check_10_convex_equals_torchvision(factor):
    flow, mask = torch.randn(2, 2, 5, 7), torch.randn(2, 9 * factor**2, 5, 7)
    expected = upsample_flow(flow, mask, factor)
    torch.testing.assert_close(convex_upsample(flow, mask, factor), expected, rtol=0, atol=1e-5)


def test_check_10_bilinear_equals_torchvision():
    flow = torch.randn(2, 2, 5, 7)
    torch.testing.assert_close(bilinear_upsample(flow, 8), upsample_flow(flow), rtol=0, atol=1e-5)


def test_check_10_mask_head_equals_torchvision():
    reference = Reference(in_channels=6, hidden_size=10)
    ours = MaskPredictor(6, 10, 8)
    ours.load_state_dict(reference.state_dict())
    hidden = torch.randn(1, 6, 4, 5)
    torch.testing.assert_close(ours(hidden), reference(hidden), rtol=0, atol=1e-6)


def test_convex_keeps_a_constant_flow_inside():
    flow = torch.tensor([1.5, -0.5])[None, :, None, None].expand(1, 2, 4, 6)
    inside = convex_upsample(flow, torch.randn(1, 9 * 16, 4, 6), 4)[:, :, 4:-4, 4:-4]
    torch.testing.assert_close(inside, 4 * flow[:, :, :1, :1].expand_as(inside))


def test_grid_equals_torchvision():
    assert torch.equal(pixel_grid(torch.zeros(2, 5, 3, 4)), make_coords_grid(1, 3, 4))
