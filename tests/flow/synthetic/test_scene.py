import numpy as np
import pytest
import torch
from flow_warp import warp
from torch.nn.functional import max_pool2d

from sevenfold.flow.synthetic import MotionOptions, draw_scene, texture_bank
from sevenfold.flow.synthetic.photometry import IDENTITY, draw_camera

SIZE = 72


@pytest.fixture(scope="module")
def bank():
    return texture_bank(0, count=10, size=96)


def scene(bank, index, **options):
    return draw_scene(bank, SIZE, SIZE + 8, 0, "test", index, **options)


def near_border(view):
    """Where any layer, or the frame, begins or ends within three pixels."""
    mixed = ((view.cover > 0.01) & (view.cover < 0.99)).any(dim=0)
    edge = (view.cover > 0.5).float().diff(dim=1, append=view.cover[:, -1:] > 0.5).abs().amax(dim=0)
    edge += (view.cover > 0.5).float().diff(dim=2, append=view.cover[:, :, -1:] > 0.5).abs().amax(dim=0)
    near = max_pool2d((mixed | (edge > 0))[None].float(), 7, 1, 3)[0] > 0
    near[:3], near[-3:], near[:, :3], near[:, -3:] = True, True, True, True
    return near


@pytest.mark.parametrize("time", [0, 3])
def test_second_frame_warped_back_is_the_first(bank, time):
    errors, without = [], []
    for index in range(12):
        one = scene(bank, index)
        view, later = one.view(time), one.view(time + 1)
        flow = one.flow(view)
        seen = one.inside(flow) & ~one.occluded(view, flow) & ~near_border(view)
        seen &= warp(near_border(later)[None].float(), flow)[0] < 0.01
        first, second = one.picture(view), one.picture(later)
        assert seen.double().mean() > 0.1
        errors.append((warp(second, flow) - first).abs().mean(dim=0)[seen])
        without.append((second - first).abs().mean(dim=0)[seen])
    error, baseline = torch.cat(errors), torch.cat(without)
    assert error.mean() < 0.003 and error.quantile(0.99) < 0.03
    assert error.mean() < baseline.mean() / 10


def test_flow_follows_material_points(bank):
    """The flow at a traced point is where its layer's formula takes it, at any time of a video."""
    for index, time in ((0, 0), (1, 1), (2, 4)):
        one = scene(bank, index)
        view = one.view(time)
        flow = one.flow(view)
        later = one.motion.forward(view.points, time + 1.0)
        top = (view.cover > 0.5).long() * torch.arange(1, len(view.cover) + 1)[:, None, None]
        top = top.argmax(dim=0)
        for y, x in np.random.default_rng(0).integers(0, SIZE, (50, 2)):
            layer = top[y, x]
            assert flow[0, y, x] == later[0][layer, y, x] - one.pixels[0][0, y, x]
            assert flow[1, y, x] == later[1][layer, y, x] - one.pixels[1][0, y, x]


def test_flow_of_two_steps_is_both_steps(bank):
    one = scene(bank, 1)
    view = one.view(0)
    there, both = one.flow(view), one.flow(view, 2.0)
    middle = one.view(1)
    onward = warp(one.flow(middle), there)
    clear = one.inside(there) & ~one.occluded(view, there) & ~near_border(view)
    clear &= warp(near_border(middle)[None].float(), there)[0] < 0.01
    assert (there + onward - both).norm(dim=0)[clear].max() < 0.02


def test_occlusion_against_the_second_view(bank):
    """A pixel is hidden if the layer seen where it goes is not its own."""
    agree, hidden = [], 0
    for index in range(12):
        one = scene(bank, index)
        view, later = one.view(0), one.view(1)
        flow = one.flow(view)
        order = torch.arange(1, len(view.cover) + 1)[:, None, None]
        before, after = ((v.cover > 0.5).long().mul(order).argmax(dim=0) for v in (view, later))
        x = (one.pixels[0][0] + flow[0] + (one.width - 1) / 2).round().long()
        y = (one.pixels[1][0] + flow[1] + (one.height - 1) / 2).round().long()
        inside = one.inside(flow)
        there = after[y.clamp(0, one.height - 1), x.clamp(0, one.width - 1)]
        occluded = one.occluded(view, flow)
        agree.append((occluded == (there > before))[inside])
        hidden += occluded.sum()
    assert torch.cat(agree).double().mean() > 0.985 and hidden > 500


def test_validity_is_inside_the_frame(bank):
    one = scene(bank, 0, motion=MotionOptions(background=10.0, spread=0.0, affine=0.0, waves=0.0))
    flow = torch.zeros(2, SIZE, SIZE + 8)
    flow[0] = 10.0
    assert one.inside(flow).sum() == SIZE * (SIZE - 2)
    *_, flow, valid = one.pair()
    assert torch.equal(valid, one.inside(flow))


def test_pairs_are_pictures(bank):
    for index in range(10):
        image1, image2, flow, valid = scene(bank, index).pair()
        for image in (image1, image2):
            assert image.shape == (3, SIZE, SIZE + 8) and image.dtype == torch.float32
            assert image.min() >= 0 and image.max() <= 1 and image.std() > 0.01
        assert flow.shape == (2, SIZE, SIZE + 8) and flow.isfinite().all() and valid.dtype == torch.bool


def test_a_scene_is_its_stream(bank):
    torch.manual_seed(1)
    first = scene(bank, 4).pair()
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(first, scene(bank, 4).pair(), strict=True))
    assert not torch.equal(first[0], scene(bank, 5).pair()[0])
    assert not torch.equal(first[0], draw_scene(bank, SIZE, SIZE + 8, 1, "test", 4).pair()[0])


def test_frames_of_a_video_are_shared_by_its_pairs(bank):
    """The second picture of one pair is the first of the next, noise included."""
    one = scene(bank, 6)
    assert torch.equal(one.pair(1)[1], one.pair(2)[0])
    assert torch.equal(one.pair(0)[1], one.pair(1)[0])


def test_camera_keeps_or_changes():
    picture = torch.rand(3, 9, 9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(IDENTITY.develop(picture, 1, torch.Generator()), picture, atol=2e-4, rtol=0)
    cameras = [draw_camera(np.random.default_rng(index)) for index in range(400)]
    assert 0.4 < np.mean([camera.blur > 0 for camera in cameras]) < 0.6
    assert 0.2 < np.mean([camera.later_contrast != 1 for camera in cameras]) < 0.4
    assert max(camera.noise for camera in cameras) <= 0.02
