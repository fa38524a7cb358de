import numpy as np
import pytest
import torch
from scipy.interpolate import griddata

from sevenfold.flow import projection
from sevenfold.flow.projection import forward_project
from sevenfold.seeding import torch_generator


def reference(flow):
    """SciPy's nearest-neighbor interpolation of the moved vectors, as the official evaluations use it."""
    dx, dy = flow.double().numpy()
    height, width = dx.shape
    x0, y0 = np.meshgrid(np.arange(width), np.arange(height))
    x1, y1 = (x0 + dx).ravel(), (y0 + dy).ravel()
    inside = (x1 > 0) & (x1 < width) & (y1 > 0) & (y1 < height)
    points = (x1[inside], y1[inside])
    filled = [griddata(points, part.ravel()[inside], (x0, y0), method="nearest") for part in (dx, dy)]
    return torch.from_numpy(np.stack(filled)).float()


@pytest.mark.parametrize(("size", "scale"), [((12, 17), 0.3), ((23, 40), 3.0), ((31, 20), 12.0)])
def test_equals_scipy_on_the_cpu(size, scale):
    stream = torch_generator(0, "projection", *size)
    smooth = torch.nn.functional.interpolate(torch.randn(3, 2, 5, 5, generator=stream), size, mode="bicubic")
    flow = scale * smooth + 0.01 * torch.randn(3, 2, *size, generator=stream)
    expected = torch.stack([reference(each) for each in flow])
    torch.testing.assert_close(forward_project(flow), expected, rtol=0, atol=1e-6)


def test_the_ways_of_searching_agree(monkeypatch):
    flow = 4 * torch.randn(1, 2, 15, 19, generator=torch_generator(1))
    whole = forward_project(flow)
    monkeypatch.setattr(projection, "RADIUS", 0)  # most vectors by the slow way
    monkeypatch.setattr(projection, "CHUNK", 1000)
    assert torch.equal(forward_project(flow), whole)


def test_a_constant_flow_stays_and_what_leaves_the_frame_is_dropped():
    flow = torch.tensor([2.0, -1.0])[None, :, None, None].expand(1, 2, 8, 9).contiguous()
    assert torch.equal(forward_project(flow), flow)
    assert not forward_project(torch.full((1, 2, 8, 9), 50.0)).any()
    assert not forward_project(torch.full((1, 2, 8, 9), torch.nan)).any()


def test_a_moving_object_arrives():
    flow = torch.zeros(1, 2, 20, 30)
    flow[0, :, 5:10, 5:10] = torch.tensor([8.0, 4.0])[:, None, None]
    out = forward_project(flow)
    assert (out[0, 0, 9:14, 13:18] == 8).float().mean() > 0.5  # some ties with the background it covers
    assert not out[0, :, 16:, 20:].any()
