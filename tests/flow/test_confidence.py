import numpy as np
import pytest
import torch
from real_pairs import SINTEL, WEIGHTS, needs_data, pair, paths
from scipy.stats import spearmanr

from sevenfold.errors import InputError
from sevenfold.flow import load
from sevenfold.flow.confidence import Calibration, Signals, calibrate, combination, occlusion, signals
from sevenfold.flow.formats import read_image
from sevenfold.flow.sparsification import ause, calibration_error, rank_correlation
from sevenfold.flow.warp import warp


def field(u, v, height=6, width=8):
    return torch.tensor([float(u), float(v)]).view(1, 2, 1, 1).expand(1, 2, height, width).clone()


def test_warp_equals_a_loop():
    stream = torch.Generator().manual_seed(0)
    values = torch.rand(1, 2, 6, 8, generator=stream, dtype=torch.float64)
    flow = torch.rand(1, 2, 6, 8, generator=stream, dtype=torch.float64) * 6 - 3
    moved, inside = warp(values, flow)
    for y in range(6):
        for x in range(8):
            px, py = x + float(flow[0, 0, y, x]), y + float(flow[0, 1, y, x])
            assert bool(inside[0, y, x]) == (0 <= px <= 7 and 0 <= py <= 5)
            if inside[0, y, x]:
                x0, y0 = min(int(px), 6), min(int(py), 4)
                a, b = px - x0, py - y0
                v = values[0, :, y0 : y0 + 2, x0 : x0 + 2]
                mixed = (1 - b) * ((1 - a) * v[:, 0, 0] + a * v[:, 0, 1]) + b * (
                    (1 - a) * v[:, 1, 0] + a * v[:, 1, 1]
                )
                torch.testing.assert_close(moved[0, :, y, x], mixed, rtol=0, atol=1e-12)


def test_signals_of_a_known_motion():
    image1 = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    image2 = torch.roll(image1, 2, dims=3)
    given = signals(
        field(2, 0), image1, image2, backward=field(-1.5, 0), step=field(0.3, 0.4), scale=torch.ones(1, 6, 8)
    )
    assert list(given.maps) == ["consistency", "step", "photo", "scale"]
    torch.testing.assert_close(given.maps["consistency"], torch.full((1, 6, 8), 0.5))
    torch.testing.assert_close(given.maps["step"], torch.full((1, 6, 8), 0.5))
    assert given.maps["photo"][given.inside].max() < 1e-5
    assert given.inside[0].sum() == 6 * 6


def test_occlusion_has_the_published_bound():
    for apart, expected in ((1.0, True), (0.75, False)):  # the bound is .63 and .64
        hidden = occlusion(field(3, 0), field(-3 + apart, 0))
        assert bool(hidden[0, 0, 0]) == (apart**2 > 0.01 * (9 + (3 - apart) ** 2) + 0.5) == expected
        assert hidden[0, :, 5:].all()  # leaves the frame


def fitted(count=4000):
    random = np.random.default_rng(0)
    values = {
        name: random.exponential(scale, count)
        for name, scale in (("consistency", 1.0), ("step", 0.2), ("photo", 0.05))
    }
    logs = [
        np.log(values[name] + offset)
        for name, offset in (("consistency", 0.05), ("step", 0.02), ("photo", 0.01))
    ]
    error = np.exp(0.7 + 0.4 * logs[0] + 0.3 * logs[1] + 0.2 * logs[2]) - 0.05
    inside = random.random(count) < 0.9
    return values, inside, error, calibrate(values, inside, error, ["consistency+step+photo", "step"])


def test_least_squares_recovers_the_law():
    *_, calibration = fitted()
    np.testing.assert_allclose(calibration.rows["consistency+step+photo"], [0.7, 0.4, 0.3, 0.2], atol=1e-9)


def test_expected_error_and_confidence_of_maps():
    values, inside, error, calibration = fitted()
    maps = {name: torch.from_numpy(part)[None, None] for name, part in values.items()}
    given = Signals(maps, torch.from_numpy(inside)[None, None])
    expected = calibration.expected_error(given)[0, 0].numpy()
    np.testing.assert_allclose(expected[inside], error[inside] + 0.05, rtol=1e-6)
    step = np.exp(calibration.rows["step"][0] + calibration.rows["step"][1] * np.log(values["step"] + 0.02))
    np.testing.assert_allclose(expected[~inside], step[~inside], rtol=1e-6)
    confidence = calibration.confidence(given)[0, 0].numpy()[inside]
    assert confidence.min() >= 0 and confidence.max() <= 1
    order = np.argsort(expected[inside])
    assert (np.diff(confidence[order]) <= 1e-9).all()
    assert abs(confidence.mean() - (error[inside] < 1).mean()) < 0.05


def test_signals_without_a_row_are_refused():
    calibration = Calibration({"step": [0.0, 1.0]}, {"step": ([1.0], [0.5])})
    with pytest.raises(InputError, match="calibrated for step, not for the signals step\\+photo"):
        one = torch.ones(1, 2, 2)
        calibration.expected_error(Signals({"photo": one, "step": one}, one.bool()))
    assert combination({"scale": 0, "step": 0}) == "step+scale"


def test_measures_of_an_order():
    random = np.random.default_rng(0)
    error = torch.from_numpy(random.exponential(2.0, 5000))
    assert ause(error, 3 * error) == pytest.approx(0, abs=1e-12)
    # A random order keeps the mean error at every share; the oracle's curve is computed by hand.
    ordered = np.sort(error.numpy())
    oracle = np.mean([ordered[: len(ordered) * (50 - k) // 50].mean() for k in range(50)])
    constant = ause(error, torch.from_numpy(random.random(5000)))
    assert constant == pytest.approx(1 - oracle / ordered.mean(), abs=0.03)
    other = torch.from_numpy(random.integers(0, 20, 5000).astype(float)) + 0.1 * error.round()
    assert rank_correlation(error, other) == pytest.approx(spearmanr(error, other).statistic, abs=1e-9)
    confidence = torch.full((1000,), 0.7)
    assert calibration_error(torch.tensor([0.5] * 600 + [2.0] * 400), confidence) == pytest.approx(
        0.1, abs=1e-6
    )


@pytest.fixture(scope="module")
def official():
    if not WEIGHTS.is_file():
        pytest.skip("the official RAFT-small weights are not here")
    return load("raft_small", weights=WEIGHTS)


@needs_data
@pytest.mark.slow
def test_occlusion_of_official_weights_on_sintel(official):
    first, second, _ = paths("clean/cave_2")
    hidden = official(first, second).occluded
    truth = read_image(SINTEL / "occlusions/cave_2/frame_0002.png")[0] > 0.5
    right = (hidden & truth).sum()
    precision, recall = float(right / hidden.sum()), float(right / truth.sum())
    assert precision == pytest.approx(0.50, abs=0.01) and recall == pytest.approx(0.73, abs=0.01)
    assert 2 * precision * recall / (precision + recall) == pytest.approx(0.595, abs=0.01)


# What the specification measured with these weights, 12 steps, coefficients fitted without the tested scene.
AUSE = {
    "clean/alley_1": 0.253,
    "clean/cave_2": 0.118,
    "final/cave_2": 0.136,
    "rubberwhale": 0.330,
    "venus": 0.340,
    "chairs0": 0.093,
    "chairs1": 0.081,
}
SCENE = {"clean/cave_2": "cave_2", "final/cave_2": "cave_2"}


@needs_data
@pytest.mark.slow
def test_confidence_of_official_weights_on_real_pairs(official):
    values = {}
    for name in AUSE:
        first, second, flow, valid = pair(name)
        with torch.inference_mode():
            maps, _ = official._maps(first[None], second[None], None, None)
        given = signals(maps.flow[:1], first[None], second[None], backward=maps.flow[1:], step=maps.step[:1])
        error = (maps.flow[0] - flow).norm(dim=0)
        values[name] = given, error, valid
    for name, expected in AUSE.items():
        others = [other for other in AUSE if SCENE.get(other, other) != SCENE.get(name, name)]

        def joined(part, others=others):
            return np.concatenate([part(*values[other])[values[other][2]][::5].numpy() for other in others])

        maps = {
            s: joined(lambda given, error, valid, s=s: given.maps[s][0])
            for s in ("consistency", "step", "photo")
        }
        inside = joined(lambda given, error, valid: given.inside[0])
        errors = joined(lambda given, error, valid: error)
        rows = ["consistency+step+photo", "step"]
        calibration = calibrate(maps, inside, errors, rows)
        given, error, valid = values[name]
        found = ause(error[valid], calibration.expected_error(given)[0][valid])
        print(name, round(found, 3), expected)
        assert found == pytest.approx(expected, abs=0.02)
