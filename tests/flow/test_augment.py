"""Acceptance check 13: augmentation moves flow with the pictures, invents nothing, and repeats itself."""

import pytest
import torch

from sevenfold.config import ConfigError
from sevenfold.flow.augment import Augmentation
from sevenfold.flow.augment_color import add_noise, erase_boxes, jitter
from sevenfold.flow.augment_space import crop, flip, resize, resize_sparse
from sevenfold.flow.sample import Draw, Sample
from sevenfold.seeding import torch_generator

DENSE = Augmentation(crop=(48, 64), log_scale=(-0.2, 0.6))
SPARSE = Augmentation(crop=(48, 64), log_scale=(-0.3, 0.5), sparse=True, flip_y=0.0)


def sample(size=(70, 90), flow=(3.0, -2.0), valid=1.0, seed=0):
    stream = torch_generator(seed, "sample")
    picture = torch.rand(3, *size, generator=stream)
    field = torch.tensor(flow)[:, None, None].expand(2, *size).clone()
    mask = torch.rand(size, generator=stream) < valid
    return Sample(picture, picture.roll(3, -1), torch.where(mask, field, 0.0), mask)


def drawn(*names):
    return Draw(torch_generator(0, "test", *names))


@pytest.mark.parametrize("size", [(70, 90), (35, 45), (97, 211), (140, 60)])
@pytest.mark.parametrize("change", [resize, resize_sparse])
def test_check_13_a_constant_flow_grows_with_the_picture(change, size):
    out = change(sample(valid=0.8), size)
    expected = torch.tensor([3.0 * size[1] / 90, -2.0 * size[0] / 70])
    assert out.size == size and out.image1.shape == (3, *size)
    assert out.valid.any() and not out.valid.all()
    torch.testing.assert_close(
        out.flow[:, out.valid], expected[:, None].expand(2, int(out.valid.sum())), atol=1e-4, rtol=0
    )
    assert not out.flow[:, ~out.valid].any()


@pytest.mark.parametrize("rules", [DENSE, SPARSE], ids=["dense", "sparse"])
def test_check_13_a_linear_flow_stays_right_under_the_whole_augmentation(rules):
    """A picture that holds its own coordinates tells what each output pixel was; colors are left alone."""
    ys, xs = torch.meshgrid(torch.arange(70.0), torch.arange(90.0), indexing="ij")
    flow = torch.stack([0.1 * xs + 2, -0.05 * ys - 1])
    for seed in range(12):
        coordinates = torch.stack([xs, ys, torch.zeros_like(xs)])
        start = Sample(coordinates, coordinates, flow, torch.ones(70, 90, dtype=torch.bool))
        draw = drawn("linear", seed)
        mirrored = (draw.chance(0.5), draw.chance(0.5))
        out = crop(flip(rules._scale(start, draw), x=mirrored[0], y=mirrored[1]), rules.crop, draw)
        x, y = out.image1[0], out.image1[1]
        scale_x = (x[0, 1:] - x[0, :-1]).abs().median().reciprocal()
        scale_y = (y[1:, 0] - y[:-1, 0]).abs().median().reciprocal()
        expected = torch.stack(
            [
                (0.1 * x + 2) * scale_x * (-1 if mirrored[0] else 1),
                (-0.05 * y - 1) * scale_y * (-1 if mirrored[1] else 1),
            ]
        )
        # Sparse vectors sit at rounded places: half a pixel, before and after, of a slope of 0.1.
        tolerance = 0.12 if rules.sparse else 2e-3
        assert ((out.flow - expected).abs().amax(0)[out.valid] < tolerance).all()


def test_check_13_sparse_moves_each_vector_to_its_rounded_place_and_invents_none():
    start = sample(valid=0.1)
    for size in [(100, 140), (41, 77)]:
        out = resize_sparse(start, size)
        found = {tuple(place) for place in out.valid.nonzero().tolist()}
        expected = {
            (round((y + 0.5) * size[0] / 70 - 0.5), round((x + 0.5) * size[1] / 90 - 0.5))
            for y, x in start.valid.nonzero().tolist()
        }
        assert found == expected
        assert out.valid.sum() <= start.valid.sum()


def test_sparse_collisions_are_settled_in_reading_order():
    start = sample(size=(4, 4))
    start.flow[0] = torch.arange(16.0).reshape(4, 4)
    assert resize_sparse(start, (1, 1)).flow[0].item() == pytest.approx(15 / 4)


def test_dense_resize_trusts_no_pixel_next_to_an_unknown_one():
    start = sample(size=(10, 10))
    start.valid[4, 4] = False
    start.flow[:, 4, 4] = torch.nan
    out = resize(start, (20, 20))
    assert out.flow.isfinite().all()
    assert (~out.valid).sum() == 16 and not out.valid[7:11, 7:11].any()


@pytest.mark.parametrize("rules", [DENSE, SPARSE], ids=["dense", "sparse"])
def test_check_13_the_same_stream_gives_the_same_sample_and_others_differ(rules):
    outs = [
        rules(sample(), torch_generator(seed, "augment", epoch, index))
        for seed, epoch, index in ((0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0))
    ]
    for one, other in zip(outs[0], outs[1], strict=True):
        assert torch.equal(one, other)
    for other in outs[2:]:
        assert not torch.equal(outs[0].image1, other.image1)
    for out in outs:
        assert out.size == (48, 64) and out.image2.shape == (3, 48, 64)
        assert out.image1.min() >= 0 and out.image1.max() <= 1


def test_nothing_but_the_stream_is_random_and_the_input_stays():
    start = sample()
    before = [field.clone() for field in start]
    state = torch.get_rng_state()
    Augmentation(crop=(48, 64), log_scale=(0, 1), noise=5.0)(start, torch_generator(3))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(before, start, strict=True))


@pytest.mark.parametrize("rules", [DENSE, SPARSE], ids=["dense", "sparse"])
def test_a_picture_smaller_than_the_crop_is_always_enlarged(rules):
    for seed in range(8):
        assert rules(sample(size=(30, 40)), torch_generator(seed)).size == (48, 64)


def test_flips_are_their_own_inverse_and_turn_the_flow():
    start = sample(valid=0.5)
    out = flip(start, x=True, y=True)
    assert torch.equal(out.flow, -start.flow.flip(-1, -2))
    assert all(torch.equal(a, b) for a, b in zip(flip(out, x=True, y=True), start, strict=True))
    assert flip(start, x=False, y=False) is start


def test_crops_reach_every_corner_and_margins_favor_the_borders():
    ys, xs = torch.meshgrid(torch.arange(8.0), torch.arange(9.0), indexing="ij")
    start = sample(size=(8, 9))._replace(flow=torch.stack([xs, ys]))
    plain = [tuple(crop(start, (6, 6), drawn(i)).flow[:, 0, 0].int().tolist()) for i in range(120)]
    assert set(plain) == {(x, y) for x in range(4) for y in range(3)}
    wide = [
        tuple(crop(start, (6, 6), drawn(i), margin=(20, 50)).flow[:, 0, 0].int().tolist()) for i in range(200)
    ]
    assert sum(x in (0, 3) for x, _ in wide) > 180
    assert sum(y == 2 for _, y in wide) > 160  # downwards only


def test_colors_are_shared_unless_asymmetric():
    start = sample()._replace(image2=sample().image1)
    same = jitter(start, drawn("color"), strength=0.4, hue=0.1, asymmetric=0.0)
    assert torch.equal(same.image1, same.image2) and not torch.equal(same.image1, start.image1)
    differ = jitter(start, drawn("color"), strength=0.4, hue=0.1, asymmetric=1.0)
    assert not torch.equal(differ.image1, differ.image2)


def test_erased_boxes_hold_the_mean_color_of_frame_2():
    start = sample(size=(120, 150))
    for seed in range(10):
        out = erase_boxes(start, drawn("boxes", seed))
        changed = (out.image2 != start.image2).any(0)
        mean = start.image2.mean(dim=(1, 2))
        assert changed.any() and changed.sum() <= 2 * 99 * 99
        assert torch.allclose(out.image2[:, changed], mean[:, None].expand(3, int(changed.sum())))
        assert torch.equal(out.image1, start.image1)


def test_noise_is_bounded_in_size():
    start = sample()._replace(image1=torch.full((3, 70, 90), 0.5))
    sizes = [(add_noise(start, drawn(i), 5.0).image1 - 0.5).std().item() * 255 for i in range(30)]
    assert 0 < min(sizes) < 1.5 and 3.5 < max(sizes) < 5.2


@pytest.mark.parametrize(
    ("key", "value"), [("crop", (0, 10)), ("log_scale", (0.5, 0.1))], ids=["crop", "log_scale"]
)
def test_impossible_rules_are_refused(key, value):
    with pytest.raises(ConfigError, match=key):
        Augmentation(**{"crop": (8, 8), "log_scale": (0.0, 1.0), key: value})
