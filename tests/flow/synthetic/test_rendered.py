import hashlib

import numpy as np
import pytest
import torch
from flow_warp import warp
from torch.nn.functional import max_pool2d
from torch.utils.data import default_collate

from sevenfold.flow.synthetic import FIRST_EDITION, Bank, Drift, Scenes, bank, draw_numbers, render
from sevenfold.flow.synthetic.drift import LayerMotion, draw_drift
from sevenfold.flow.synthetic.leaves import colored_noise, dead_leaves
from sevenfold.flow.synthetic.light import develop, draw_light
from sevenfold.flow.synthetic.outlines import CELLS, KINDS, REACH, bar, outline_bank

HEIGHT, WIDTH = 56, 64


@pytest.fixture(scope="module")
def small_bank():
    random = np.random.default_rng(0)
    return Bank(
        torch.cat([dead_leaves(6, 64, random), colored_noise(4, 64, random)]), outline_bank(24, random)
    )


def numbers(small_bank, count=6, drift=Drift(), first=0, frames=2):
    return [
        draw_numbers(small_bank, HEIGHT, WIDTH, 0, "test", first + i, drift=drift, frames=frames)
        for i in range(count)
    ]


def test_a_batch_is_its_items(small_bank, device):
    items = numbers(small_bank)
    together = render({k: v.to(device) for k, v in default_collate(items).items()}, small_bank)
    for index, item in enumerate(items):
        alone = render(default_collate([item]), small_bank)
        for a, b in zip(alone, together, strict=True):
            if a.dtype == torch.bool:
                assert (a[0] == b[index].cpu()).double().mean() > 0.995
        torch.testing.assert_close(alone.image1[0], together.image1[index].cpu(), rtol=0, atol=1e-5)
        torch.testing.assert_close(alone.flow[0], together.flow[index].cpu(), rtol=1e-5, atol=1e-4)


def test_a_scene_is_its_stream(small_bank):
    torch.manual_seed(1)
    first = render(default_collate(numbers(small_bank, 2)), small_bank)
    torch.manual_seed(2)
    again = render(default_collate(numbers(small_bank, 2)), small_bank)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.image1[0], first.image1[1])


def test_flow_is_the_difference_of_the_material_map(small_bank):
    """Against the formula in NumPy, a layer and a point at a time, with the matrix exponential's series."""
    scenes = Scenes(default_collate(numbers(small_bank, 3, frames=3)), small_bank)
    seen = scenes.seen(1)
    flow = scenes.flow(seen, 1)
    motion = scenes.motion

    def place(b, layer, point, t):
        center, shift = (getattr(motion, n)[b, layer].double().numpy() for n in ("center", "translation"))
        strain = t * motion.strain[b, layer].double().numpy()
        matrix, term = np.eye(2), np.eye(2)
        for k in range(1, 12):
            term = term @ strain / k
            matrix = matrix + term
        moved = center + matrix @ (point - center) + t * shift
        for k in range(2):
            a, q, p, w = (
                getattr(motion, n)[b, layer, k].double().numpy()
                for n in ("amplitude", "wave_vector", "phase", "frequency")
            )
            moved = moved + a * (np.sin(q @ point + p + w * t) - np.sin(q @ point + p))
        return moved

    for b, y, x in np.random.default_rng(0).integers(0, (3, HEIGHT, WIDTH), (60, 3)):
        layer = int(seen.top[b, 0, y, x])
        point = np.array([float(part[b, layer, y, x]) for part in seen.points])
        at = np.array([x - (WIDTH - 1) / 2, y - (HEIGHT - 1) / 2])
        assert np.abs(place(b, layer, point, 1) - at).max() < 3e-3  # the inverse is iterated
        found = flow[b, :, y, x].double().numpy()
        assert np.abs(place(b, layer, point, 2) - at - found).max() < 1e-3


def test_occlusion_by_brute_force(small_bank):
    """A pixel is hidden if the layer on top where it goes, sought alone at that point, is not its own."""
    scenes = Scenes(default_collate(numbers(small_bank, 6)), small_bank)
    seen = scenes.seen(0)
    flow = scenes.flow(seen, 0)
    hidden = scenes.hidden(seen, flow, 0)
    after = scenes.seen(1).top[:, 0]
    agree, share = [], []
    edge = (
        max_pool2d(after.float()[:, None], 3, 1, 1)[:, 0]
        != -max_pool2d(-after.float()[:, None], 3, 1, 1)[:, 0]
    )
    for b in range(6):
        x = (torch.arange(WIDTH) + flow[b, 0]).round().long()
        y = (torch.arange(HEIGHT)[:, None] + flow[b, 1]).round().long()
        inside = (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)
        x, y = x.clamp(0, WIDTH - 1), y.clamp(0, HEIGHT - 1)
        certain = inside & ~edge[b][y, x]  # a rounded place beside an edge may lie on its other side
        agree.append((hidden[b] == (after[b][y, x] != seen.top[b, 0]))[certain])
        share.append(hidden[b][certain])
    assert torch.cat(agree).double().mean() >= 0.995 and torch.cat(share).double().mean() > 0.005


def test_flows_of_two_steps_compose(small_bank):
    items = numbers(small_bank, 4, frames=3)
    scenes = Scenes(default_collate(items), small_bank)
    seen, middle = scenes.seen(0), scenes.seen(1)
    one, both, onward = scenes.flow(seen, 0), scenes.flow(seen, 0, 2.0), scenes.flow(middle, 1)
    hidden = scenes.hidden(seen, one, 0) | ~scenes.inside(one)
    top = middle.top.float()
    edge = (max_pool2d(top, 7, 1, 3) != -max_pool2d(-top, 7, 1, 3)).float()
    for b in range(4):
        clear = ~hidden[b] & (warp(edge[b], one[b])[0].abs() < 0.01)
        clear[:3] = clear[-3:] = False
        clear[:, :3] = clear[:, -3:] = False
        x, y = scenes.pixels[0][b, 0] + one[b, 0], scenes.pixels[1][b, 0] + one[b, 1]
        clear &= (x.abs() < WIDTH / 2 - 4) & (y.abs() < HEIGHT / 2 - 4)
        if clear.any():
            error = (one[b] + warp(onward[b], one[b]) - both[b]).norm(dim=0)[clear]
            assert error.max() < 0.02


def test_the_second_frame_warped_back_is_the_first(small_bank):
    batch = default_collate(numbers(small_bank, 12, FIRST_EDITION))
    batch["grain"] = torch.zeros_like(batch["grain"])
    pairs = render(batch, small_bank)
    warped = torch.stack([warp(b, f) for b, f in zip(pairs.image2, pairs.flow, strict=True)])
    visible = ~pairs.occluded[:, None].expand_as(warped)
    before = (pairs.image2 - pairs.image1).abs()[visible].mean()
    after = (warped - pairs.image1).abs()[visible].mean()
    assert after < before / 2


def test_inverse_motion(small_bank):
    random = np.random.default_rng(3)
    drawn = draw_drift(Drift(waves=1.0, affine=1.0), random.uniform(-20, 20, (5, 2)), 64, random)
    motion = LayerMotion(center=torch.zeros(5, 2), **drawn)
    points = tuple(torch.rand(5, 10, 10) * 60 - 30 for _ in range(2))
    back = motion.forward(motion.inverse(points, 1), 1)
    assert max((a - b).abs().max() for a, b in zip(points, back, strict=True)) < 5e-3


def test_speeds_have_the_stated_law():
    random = np.random.default_rng(0)
    drawn = [draw_drift(Drift(speed=3.0, cap=1.0), np.zeros((2, 2)), 1e6, random) for _ in range(4000)]
    background = torch.stack([d["translation"][0].norm() for d in drawn]).log()
    # Standard errors of 4,000 draws: 1.25 x 1.22 / 63 of a median, 1.22 / 89 of a deviation.
    assert abs(float(background.median()) - np.log(3.0)) < 5 * 0.025
    assert abs(float(background.std()) - np.hypot(1.0, 0.7)) < 5 * 0.014
    slow = [draw_drift(Drift(speed=1.0, spread=0.0), np.zeros((3, 2)), 96, random) for _ in range(300)]
    fast = [draw_drift(Drift(speed=6.0, spread=0.0), np.zeros((3, 2)), 96, random) for _ in range(300)]
    ratio = torch.stack([d["strain"] for d in slow]).std() / torch.stack([d["strain"] for d in fast]).std()
    assert abs(float(ratio) - 1 / 6) < 0.03
    assert all(d["translation"].norm(dim=1).max() <= 0.35 * 96 + 1e-3 for d in fast)


def test_dead_leaves_have_the_spectrum_of_photographs():
    size = 128
    pictures = dead_leaves(64, size, np.random.default_rng(0)).mean(dim=1)
    window = torch.hann_window(size, periodic=False)
    pictures = (pictures - pictures.mean(dim=(1, 2), keepdim=True)) * window * window[:, None]
    power = torch.fft.fft2(pictures).abs().square().mean(dim=0)
    f = torch.fft.fftfreq(size)
    radius = (torch.hypot(f, f[:, None]) * size).round().long()
    rings = torch.arange(4, size // 4)
    radial = torch.stack([power[radius == r].mean() for r in rings])
    slope = np.polyfit(rings.log().numpy(), radial.log().numpy(), 1)[0]
    assert -2.6 <= slope <= -1.6


def test_outlines_are_distances():
    """Their slope is 1 where they are exact, their borders are outside, their insides are not empty."""
    maps = outline_bank(200, np.random.default_rng(1))
    assert maps.shape == (200, CELLS, CELLS) and maps.isfinite().all()
    assert (maps[:, [0, -1]] > 0).all() and (maps[:, :, [0, -1]] > 0).all()
    assert ((maps < 0).flatten(1).sum(1) > 0).all()
    axis = (2 * torch.arange(CELLS) + 1) / CELLS * REACH - REACH
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    box = bar(x.double(), y.double(), np.random.default_rng(0))
    corner = box[0, 0]
    thick = -float(box.min())
    assert abs(float(corner) - np.hypot(REACH - REACH / CELLS - 1, REACH - REACH / CELLS - thick)) < 0.02
    assert abs(sum(KINDS.values()) - 1) < 1e-12


def test_light_keeps_or_changes():
    picture = torch.rand(400, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    lights = [draw_light(np.random.default_rng(i)) for i in range(400)]
    light = default_collate(lights)
    none = {
        "tone": torch.tensor([1.0, 1.0, 0.0]).expand(400, 2, 3),
        "gains": torch.ones(400, 2, 3),
        "blur": torch.zeros(400, 2),
        "field": torch.zeros(400, 2, 4, 4),
        "grain": torch.zeros(400),
    }
    torch.testing.assert_close(develop(picture, none, 1, picture), picture, atol=2e-4, rtol=0)
    recorded = develop(picture, light, 1, torch.randn_like(picture))
    assert recorded.min() >= 0 and recorded.max() <= 1
    both = (light["blur"] > 0).all(1).double().mean()
    one = ((light["blur"] > 0).sum(1) == 1).double().mean()
    assert 0.4 < both < 0.6 and 0.03 < one < 0.13
    assert 0.2 < (light["field"][:, 1].abs().amax((1, 2)) > 0).double().mean() < 0.4


def test_a_stored_bank_is_read_and_a_damaged_one_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    bank.scene_bank.cache_clear()
    first = bank.scene_bank(0, "small", 10)
    (file,) = (tmp_path / ".cache/sevenfold").glob("scenes-*.npz")
    stamp = file.stat().st_mtime_ns
    bank.scene_bank.cache_clear()
    assert torch.equal(bank.scene_bank(0, "small", 10).textures, first.textures)
    assert file.stat().st_mtime_ns == stamp
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    bank.scene_bank.cache_clear()
    again = bank.scene_bank(0, "small", 10)
    assert torch.equal(again.textures, first.textures) and file.stat().st_mtime_ns != stamp
    bank.scene_bank.cache_clear()
    assert (
        hashlib.sha256(first.textures.numpy().tobytes()).digest()
        != hashlib.sha256(bank.scene_bank(1, "small", 10).textures.numpy().tobytes()).digest()
    )
    bank.scene_bank.cache_clear()
