import numpy as np
import pytest
import torch

from sevenfold.errors import InputError
from sevenfold.evidence import bootstrap
from sevenfold.flow.measures import measure
from sevenfold.flow.rivals import constant, zero
from sevenfold.flow.sparsification import calibration_error
from sevenfold.flow.warp import warp


def interval(values, clusters=None, **options):
    return bootstrap(values, clusters=clusters, least=5, **options)


def fields(seed=0, height=24, width=30):
    random = np.random.default_rng(seed)
    truth = np.zeros((2, height, width))
    truth[0, :, : width // 2], truth[1, :, width // 2 :] = 14.0, 3.0
    truth += random.normal(0, 0.1, truth.shape)
    flow = truth + random.standard_t(3, truth.shape)
    valid, occluded = random.random((2, height, width)) < [[[0.8]], [[0.2]]]
    truth[:, ~valid] = np.nan
    return [torch.from_numpy(x) for x in (flow, truth, valid, occluded)]


def test_equals_numpy():
    flow, truth, valid, occluded = fields()
    found = measure(flow, truth, valid, occluded=occluded)
    f, t, v, o = (x.numpy() for x in (flow, truth, valid, occluded))
    error = np.sqrt(((f - t) ** 2).sum(0))
    speed = np.sqrt((t**2).sum(0))
    e, s = error[v], speed[v]
    rates = [np.mean(e <= i / 20) for i in range(1, 101)]
    weights = [1 - (i - 1) / 100 for i in range(1, 101)]
    cosine = (1 + (f * t).sum(0)) / np.sqrt((1 + (f**2).sum(0)) * (1 + (t**2).sum(0)))
    expected = {
        "epe": e.mean(),
        "1px": 100 * np.mean(e < 1),
        "3px_out": 100 * np.mean(e >= 3),
        "fl": 100 * np.mean((e > 3) & (e > 0.05 * s)),
        "wauc": 100 * np.dot(weights, rates) / np.sum(weights),
        "angular": np.degrees(np.arccos(np.clip(cosine[v], -1, 1))).mean(),
        "s0-10": error[v & (speed < 10)].mean(),
        "s10-40": error[v & (speed >= 10) & (speed < 40)].mean(),
        "matched": error[v & ~o].mean(),
        "unmatched": error[v & o].mean(),
        "mean_u": f[0][v].mean(),
        "mean_v_true": t[1][v].mean(),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    assert "s40+" not in found  # nothing moves so fast: absent, not 0


def test_distances_equal_a_loop():
    flow, truth, valid, _ = fields()
    occluded = torch.zeros(24, 30, dtype=torch.bool)
    occluded[10:14, 10:20] = True
    found = measure(flow, truth, valid, occluded=occluded)
    o = occluded.numpy()
    edge = np.zeros_like(o)
    edge[:, :-1] |= o[:, :-1] ^ o[:, 1:]
    edge[:-1] |= o[:-1] ^ o[1:]
    places = np.argwhere(edge)
    distance = np.array(
        [[np.sqrt(((places - (y, x)) ** 2).sum(1)).min() for x in range(30)] for y in range(24)]
    )
    error = (flow - truth).norm(dim=0).numpy()
    chosen = error[valid.numpy() & (distance >= 10) & (distance < 60)]
    assert found["d10-60"] == pytest.approx(chosen.mean(), abs=1e-9)


def test_a_perfect_flow():
    _, truth, valid, occluded = fields()
    right = torch.where(valid, truth, 0)
    found = measure(right, truth, valid, occluded=occluded, hidden=occluded, confidence=torch.ones(24, 30))
    assert found["wauc"] == 100 and found["fl"] == 0 and found["occlusion_f1"] == 100 and found["ece"] == 0
    assert found["epe"] == 0 and found["angular"] < 1e-5


def test_occlusion_unknown_is_absent():
    flow, truth, valid, _ = fields()
    assert not {"matched", "unmatched", "d0-10", "ause", "ece"} & set(measure(flow, truth, valid))
    assert measure(flow, truth, torch.zeros_like(valid)) == {}


def test_intervals_cover_the_mean():
    """Of 400 sets of 40 log-normal errors the stated share of intervals holds the true mean."""
    random = np.random.default_rng(0)
    mean = np.exp(0.5**2 / 2)
    covered = 0
    for number in range(400):
        low, high = interval(np.exp(0.5 * random.standard_normal(40)).tolist(), seed=number)
        covered += low <= mean <= high
    assert 0.88 <= covered / 400 <= 0.97
    assert interval([1.0] * 4) is None


def test_intervals_over_sequences():
    """Pairs of a sequence that are all alike tell no more than one: the interval is that of the sequences."""
    values = [1.0, 2.0, 4.0, 8.0, 16.0, 5.0]
    alone = interval(values)
    repeated = interval(
        [value for value in values for _ in range(7)], [i for i in range(6) for _ in range(7)]
    )
    assert alone == pytest.approx(repeated) and alone[0] < 6.0 < alone[1]
    assert interval(values * 7)[1] - interval(values * 7)[0] < 0.6 * (alone[1] - alone[0])
    # The mean is over pairs: a long sequence counts more.
    long = interval([0.0] * 50 + [1.0, 1.0, 1.0, 1.0], ["a"] * 50 + list("bcde"))
    assert long[0] < 0.1


def test_rivals():
    flow, truth, valid, _ = fields()
    image = torch.rand(3, 24, 30)
    assert (zero(image, image, truth.float(), valid) == 0).all()
    best = constant(image, image, truth, valid)
    assert (best == best[:, :1, :1]).all()

    def error(vector):
        return float((truth[:, valid] - vector[:, None]).norm(dim=0).mean())

    for step in ([0.3, 0], [-0.3, 0], [0, 0.3], [0, -0.3]):
        assert error(best[:, 0, 0]) <= error(best[:, 0, 0] + torch.tensor(step, dtype=best.dtype)) + 1e-6


def test_fields_of_different_sizes_are_refused():
    flow, valid = torch.zeros(2, 4, 6), torch.ones(4, 6, dtype=torch.bool)
    with pytest.raises(InputError, match=r"\(2, 4, 6\), \(2, 4, 1\), \(4, 6\); expected"):
        measure(flow, flow[..., :1], valid)
    with pytest.raises(InputError, match="expected one size"):
        warp(torch.zeros(1, 3, 4, 6), torch.zeros(1, 2, 8, 12))


def test_a_confidence_of_one_and_rounding_is_no_logit():
    error, sure = torch.zeros(10), torch.full((10,), 1.0 + 1e-7, dtype=torch.float64)
    assert calibration_error(error, sure) == pytest.approx(0.0, abs=1e-6)
