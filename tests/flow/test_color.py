import math

import pytest
import torch
from torchvision.utils import flow_to_image

from sevenfold.flow.color import KITTI_COLORS, error_heat, flow_colors, kitti_error_colors, panel


def some_flow(seed=0, height=6, width=8):
    return 5 * torch.randn(2, height, width, generator=torch.Generator().manual_seed(seed))


def vector(x, y):
    return torch.tensor([x, y]).reshape(2, 1, 1)


def test_agrees_with_torchvision_at_the_largest_speed():
    difference = flow_colors(some_flow()).int() - flow_to_image(some_flow()).int()
    assert difference.abs().max() <= 1


@pytest.mark.parametrize(
    ("direction", "color"),
    [
        ((1.0, 0.0), (255, 0, 0)),  # right is red
        ((0.0, 1.0), (255, 229, 0)),  # down is yellow
        ((-1.0, 0.0), (0, 209, 255)),  # left is cyan
        ((0.0, -1.0), (88, 0, 255)),  # up is violet
        ((0.0, 0.0), (255, 255, 255)),
    ],
)
def test_directions_of_the_wheel(direction, color):
    got = flow_colors(vector(*direction), radius=1.0).flatten().int()
    assert (got - torch.tensor(color)).abs().max() <= 8


def test_speed_saturates():
    full, double = flow_colors(vector(3.0, 0.0), radius=3.0), flow_colors(vector(6.0, 0.0), radius=3.0)
    half = flow_colors(vector(1.5, 0.0), radius=3.0)
    assert torch.equal(full, double)
    assert half[0] == 255 and 120 <= half[1] <= 135


@pytest.mark.parametrize(
    "vector_",
    [
        (62.090736389160156, 61.34148406982422),
        (-41.364051818847656, -4.871973991394043),
        (-54.726375579833984, -51.46681213378906),
        (-53.989505767822266, 46.27485656738281),
    ],
)
def test_no_color_wraps_around(vector_):
    """Rounding takes these beyond the scale; torchvision then turns a byte of 0 into 255."""
    fastest = flow_colors(vector(*vector_)).int()
    slower = flow_colors(0.99 * vector(*vector_), radius=math.hypot(*vector_)).int()
    assert (fastest - slower).abs().max() <= 6


def test_unknown_is_black():
    flow, valid = some_flow(), torch.ones(6, 8, dtype=torch.bool)
    valid[0, 0] = False
    clean = flow_colors(flow, valid)
    flow[:, 0, 0] = 1e9
    flow[0, 1, 1] = float("nan")
    colors = flow_colors(flow, valid)
    assert not colors[:, 0, 0].any() and not colors[:, 1, 1].any()
    colors[:, 1, 1] = clean[:, 1, 1]
    assert torch.equal(colors, clean)  # and it does not set the scale


def test_no_motion_is_white():
    assert (flow_colors(torch.zeros(2, 3, 3)) == 255).all()


def test_heat_rises():
    errors = torch.linspace(0, 6, 50)[None]
    valid = torch.ones(1, 50, dtype=torch.bool)
    valid[0, 7] = False
    colors = error_heat(errors, valid, 4.0).int()
    assert colors[:, 0, 0].tolist() == [0, 0, 0] and colors[:, 0, -1].tolist() == [255, 255, 220]
    assert colors[:, 0, 7].tolist() == [96, 96, 96]
    bright = colors.sum(dim=0)[valid]
    assert (bright.diff() >= 0).all()
    assert torch.equal(colors[:, 0, 34], colors[:, 0, 49])  # beyond the ceiling
    assert error_heat(torch.tensor([[float("nan")]]), torch.tensor([[True]]), 1.0).flatten().tolist() == [
        255,
        255,
        220,
    ]


@pytest.mark.parametrize(
    ("error", "speed", "color"),
    [
        (0.0, 10.0, 0),
        (2.99, 10.0, 4),
        (3.01, 10.0, 5),
        (3.01, 100.0, 4),
        (49.0, 10.0, 9),
        (5.1, 100.0, 5),
        (0.1, 0.0, 0),
    ],
)
def test_kitti_bins(error, speed, color):
    """Red begins where an error counts in F1-all."""
    valid = torch.ones(1, 1, dtype=torch.bool)
    got = kitti_error_colors(vector(speed + error, 0.0), vector(speed, 0.0), valid)
    assert tuple(got.flatten().tolist()) == KITTI_COLORS[color]
    assert not kitti_error_colors(vector(1.0, 0.0), vector(2.0, 0.0), ~valid).any()


@pytest.mark.parametrize(
    ("size", "tiles", "shape"),
    [
        ((100, 250), 5, (5 * 116 + 16, 250)),
        ((200, 250), 5, (216, 5 * 250 + 16)),
        ((50, 60), 5, (216, 5 * 240 + 16)),
        ((200, 250), 3, (216, 3 * 250 + 8)),
    ],
)
def test_layout_of_panels(size, tiles, shape):
    image, flow = torch.rand(3, *size, generator=torch.Generator().manual_seed(0)), some_flow(0, *size)
    valid = torch.full(size, tiles == 5)
    picture = panel(image, image, flow, flow, valid)
    assert picture.dtype == torch.uint8 and picture.shape == (3, *shape)
    if size == (200, 250):
        assert torch.equal(picture[:, 16:, :250], (image * 255).round().byte())
        assert torch.equal(picture[:, 16:, 508:758], flow_colors(flow))


def test_panel_puts_both_on_the_scale_of_the_truth():
    image, target = torch.zeros(3, 200, 250), torch.zeros(2, 200, 250)
    target[0] = 4.0
    picture = panel(image, image, 2 * target, target, torch.ones(200, 250, dtype=torch.bool))
    assert torch.equal(picture[:, 16:, 508:758], picture[:, 16:, 762:1012])
    slow = panel(image, image, target / 2, target, torch.ones(200, 250, dtype=torch.bool))
    assert not torch.equal(slow[:, 16:, 508:758], slow[:, 16:, 762:1012])


@pytest.mark.parametrize("error", ["heat", "kitti"])
def test_panel_of_a_failed_prediction(error):
    image, target = torch.zeros(3, 200, 250), torch.ones(2, 200, 250)
    picture = panel(
        image, image, torch.full_like(target, float("nan")), target, torch.ones(200, 250).bool(), error=error
    )
    assert not picture[:, 16:, 508:758].any()
