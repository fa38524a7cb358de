import numpy as np
import pytest
import torch
from scipy.optimize import fsolve

from sevenfold.flow.synthetic.motion import MAX_STRAIN, MotionOptions, draw_motion


def some_motion(index=0, layers=4, size=96, options=None):
    random = np.random.default_rng(index)
    centers = random.uniform(-size / 2, size / 2, (layers, 2))
    return draw_motion(options or MotionOptions(), centers, size, random)


def grid(layers=4, size=96, step=8):
    axis = torch.arange(-size / 2, size / 2 + 1, step)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return x.expand(layers, -1, -1), y.expand(layers, -1, -1)


def naive_forward(motion, layer, point, time):
    """The formula of the class's documentation in float64, one point at a time."""
    C, T = motion.center[layer].double().numpy(), motion.translation[layer].double().numpy()
    angle, growth = float(motion.rotation[layer]) * time, float(motion.growth[layer]) * time
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = C + np.exp(growth) * turn @ (point - C) + time * T
    for k in range(motion.phase.shape[1]):
        at = motion.wave_vector[layer, k].double().numpy() @ point + float(motion.phase[layer, k])
        swing = np.sin(at + float(motion.frequency[layer, k]) * time) - np.sin(at)
        moved = moved + motion.amplitude[layer, k].double().numpy() * swing
    return moved


@pytest.mark.parametrize("time", [-1.0, 0.0, 0.5, 1.0, 4.0])
def test_forward_is_the_formula(time):
    motion, (x, y) = some_motion(), grid(step=24)
    got = torch.stack(motion.forward((x, y), time), dim=-1)
    for layer in range(4):
        for row in range(x.shape[1]):
            expected = naive_forward(motion, layer, np.array([x[layer, row, 1], y[layer, row, 1]]), time)
            np.testing.assert_allclose(got[layer, row, 1], expected, atol=1e-4)


@pytest.mark.parametrize(("time", "bound"), [(0.0, 0.0), (0.5, 4e-3), (1.0, 4e-3), (5.0, 4e-3)])
def test_inverse_undoes_forward(time, bound):
    worst = 0.0
    for index in range(40):
        motion, points = some_motion(index), grid()
        again = motion.inverse(motion.forward(points, time), time)
        worst = max(worst, *((a - b).abs().max().item() for a, b in zip(again, points, strict=True)))
    assert worst <= bound


def test_inverse_against_a_root_finder():
    motion, places = some_motion(3), grid(step=48)
    x, y = motion.inverse(places, 1.0)
    for layer in range(4):
        place = np.array([places[0][layer, 0, 1], places[1][layer, 0, 1]], dtype=float)
        exact = fsolve(lambda point: naive_forward(motion, layer, point, 1.0) - place, place)  # noqa: B023
        np.testing.assert_allclose([x[layer, 0, 1], y[layer, 0, 1]], exact, atol=3e-3)


def test_sizes_of_the_motion():
    motions = [some_motion(index) for index in range(800)]
    speed = torch.stack([motion.translation.norm(dim=1) for motion in motions])
    assert 1.3 < speed[:, 0].median() < 1.7  # log-normal about 1.5 px
    assert speed.max() <= 0.3 * 96 * 1.0001
    turning = torch.stack([motion.rotation for motion in motions])
    assert 0.55 < (turning != 0).double().mean() < 0.65
    assert 0.045 < turning[turning != 0].std() < 0.055
    strain = torch.stack(
        [(2 * m.amplitude.norm(dim=2) * m.wave_vector.norm(dim=2)).sum(dim=1) for m in motions]
    )
    assert strain.max() <= MAX_STRAIN * 1.0001 and 0.45 < (strain > 0).double().mean() < 0.55


def test_medians_are_options():
    still = MotionOptions(background=0.0, front=0.0, affine=0.0, waves=0.0)
    motion, points = some_motion(options=still), grid()
    for after, before in zip(motion.forward(points, 1.0), points, strict=True):
        torch.testing.assert_close(after, before.contiguous(), rtol=0, atol=1e-4)
    fast = MotionOptions(front=30.0, spread=0.0, cap=1.0, follow=0.0)
    assert torch.allclose(some_motion(options=fast).translation[1:].norm(dim=1), torch.tensor(30.0))
