"""Hill climbing from every cell, its theory, walks and noise."""

from pathlib import Path

import numpy as np
import pytest

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.benchmarks.listed import Listed
from sevenfold.nas.landscape.climb import climb, neighbors, strict_minima
from sevenfold.nas.landscape.noise import noisy_minima, retraining_noise
from sevenfold.nas.landscape.theory import normal_minima, uniform_ends, uniform_minima, uniform_preimage
from sevenfold.nas.landscape.walk import autocorrelation
from sevenfold.nas.spaces.nb201 import NB201

ROOT = Path(__file__).resolve().parents[3] / "../shared/data/nas"
NEAR = neighbors(NB201())
SPREAD = 15.4
"""Deviation of the number of minima of 15,625 independent losses between tables, measured over 400."""
LISTED = Listed(np.random.default_rng(0).permutation(625)[:120, None] // 5 ** np.arange(4) % 5)


def naive(losses, space):
    """Climb one cell after another as the definition says."""
    archs = space.archs(np.arange(space.size))
    near = [sorted(space.index(space.neighbors(row)).tolist()) for row in archs]

    def following(v):
        best = min(near[v], key=lambda u: (losses[u], u), default=v)
        return best if losses[best] < losses[v] else v

    ends, steps, through = [], [], np.zeros(len(archs), int)
    for v in range(len(archs)):
        count, through[v] = 0, through[v] + 1
        while (u := following(v)) != v:
            v, count = u, count + 1
            through[v] += 1
        ends.append(v)
        steps.append(count)
    strict = [v for v in range(len(archs)) if all(losses[v] < losses[u] for u in near[v])]
    return ends, steps, through, strict


@pytest.mark.parametrize("seed", range(4))
def test_a_climb_is_the_naive_one_with_ties_and_uneven_degrees(seed):
    near = neighbors(LISTED)
    assert len(set((near < 120).sum(axis=1))) > 3
    losses = np.random.default_rng(seed).integers(12, size=120).astype(float)
    found, (ends, steps, through, strict) = climb(losses, near), naive(losses, LISTED)
    assert found.ends.tolist() == ends and found.steps.tolist() == steps
    assert np.array_equal(found.preimages(), through)
    assert np.array_equal(found.basins(), np.bincount(ends, minlength=120))
    assert found.minima.tolist() == [v for v in range(120) if ends[v] == v]
    assert strict_minima(losses, near).tolist() == strict
    np.testing.assert_array_equal(found.gaps(), losses[ends] - losses.min())
    assert found.measures()["share_to_optimum"] == np.mean(losses[ends] == losses.min())


def test_holes_are_refused():
    with pytest.raises(InputError, match=r"15625 architectures .* shape \(15625,\) with 2 NaN"):
        climb(np.where(np.arange(15625) < 2, np.nan, 1.0), NEAR)
    with pytest.raises(InputError, match=r"got shape \(3,\)"):
        climb(np.ones(3), NEAR)


MARKS = [  # file, array, minima, strict, share, mean steps, most steps, optimum and its loss, clip width
    ("val_one_seed", "cifar10_val_ep200", 52, 45, 18.7, 3.84, 10, 1459, 8.43, [0.19, 0.19, 0.58]),
    ("val_one_seed", "cifar100_val_ep200", 46, 41, 48.5, 4.77, 12, 3888, 26.74, [0.49, 0.54, 0.70]),
    ("cifar", "cifar10_test_ep200", 18, 17, 74.0, 4.64, 10, 6111, 5.627, [0.74, 0.74, 0.80]),
    ("cifar", "cifar100_test_ep200", 25, 23, 75.0, 4.72, 12, 9930, 26.487, [0.80, 0.80, 0.80]),
]


@pytest.mark.skipif(not ROOT.is_dir(), reason="the shared NAS tables are absent")
@pytest.mark.parametrize("mark", MARKS, ids=[f"{mark[0]}-{mark[1]}" for mark in MARKS])
def test_real_tables(mark):
    file, array, minima, strict, share, mean, most, optimum, loss, near_end = mark
    with np.load(ROOT / f"nb201_{file}.npz") as table:
        losses = 100 - table[array].astype(float)
    found = climb(losses, NEAR)
    measures = found.measures()
    assert measures["minima"] == minima and len(strict_minima(losses, NEAR)) == strict
    assert 100 * measures["share_to_optimum"] == pytest.approx(share, abs=0.1)
    assert measures["steps_mean"] == pytest.approx(mean, abs=0.005) and measures["steps_max"] == most
    assert losses.argmin() == optimum and losses.min() == pytest.approx(loss, abs=0.005)
    width = 12 if array.startswith("cifar10_") else 30
    shares = [(found.gaps() / width <= d).mean() for d in (0.003, 0.01, 0.03)]
    np.testing.assert_allclose(shares, near_end, atol=0.01)
    if array == "cifar10_test_ep200":
        assert found.basins()[[6111, 13714]].tolist() == [7949, 3607]
        assert np.flatnonzero(losses == losses.min()).tolist() == [6111, 13714]


@pytest.mark.skipif(not ROOT.is_dir(), reason="the shared NAS tables are absent")
@pytest.mark.parametrize(
    ("array", "published"),
    [
        ("cifar10_val_ep200", [0.56, 0.35, 0.23, 0.16]),
        ("cifar100_val_ep200", [0.61, 0.40, 0.28, 0.20]),
    ],
)
def test_autocorrelation_of_real_tables(array, published):
    with np.load(ROOT / "nb201_val_one_seed.npz") as table:
        losses = 100 - table[array].astype(float)
    np.testing.assert_allclose(autocorrelation(losses, NEAR, 4)[1:], published, atol=0.01)


@pytest.mark.parametrize("percentiles", [(0, 100), (10, 90)])
def test_autocorrelation_is_that_of_a_long_walk(percentiles):
    losses = np.random.default_rng(1).random(15625) + NB201().archs(np.arange(15625)).sum(axis=1) / 8
    expected = autocorrelation(losses, NEAR, 6, percentiles=percentiles)
    rng, walkers, steps = np.random.default_rng(2), 2000, 200
    low, high = np.percentile(losses, percentiles)
    ok = np.append((losses >= low) & (losses <= high), False)
    place = rng.choice(np.flatnonzero(ok[:-1]), size=walkers)
    path = []
    for _ in range(steps):
        choices = ok[NEAR[place]]
        order = (rng.random(choices.shape) * choices).argmax(axis=1)
        place = NEAR[place, order]
        path.append(losses[place])
    path = np.array(path)[20:]  # the walk forgets its uniform start
    path = path - path.mean()
    found = [(path[: len(path) - lag] * path[lag:]).mean() / (path**2).mean() for lag in range(7)]
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_independent_losses_have_no_memory_and_two_cells_alternate():
    losses = load_benchmark("uniform-nb201").table["loss"]
    assert np.abs(autocorrelation(losses, NEAR, 4)[1:]).max() < 0.05
    pair = neighbors(Listed(np.array([[0], [1]])))
    assert autocorrelation(np.array([0.0, 1.0]), pair, 3).tolist() == [1, -1, 1, -1]


def test_theory_of_uniform_losses():
    assert uniform_minima(15625, 24) == 625
    sizes = uniform_preimage([0, 0.01, 0.025, 0.05, 0.1], 24)
    np.testing.assert_allclose(sizes, [64.2, 41.3, 23.1, 10.3, 3.07], rtol=0.003)
    ends = uniform_ends([0.003, 0.005, 0.01, 0.05, 0.1], 24)
    np.testing.assert_allclose(ends, [0.171, 0.264, 0.446, 0.920, 0.992], atol=6e-4)


def test_theory_holds_on_uniform_losses():
    minima, ends, sizes = [], [], []
    bench = load_benchmark("uniform-nb201")
    first = bench.query(bench.archs, split="val", metric="loss", epoch="last", seed="mean")
    for losses in [first, *np.random.default_rng(0).random((19, 15625))]:
        found = climb(losses, NEAR)
        minima.append(len(found.minima))
        ends.append([(losses[found.ends] <= gap).mean() for gap in (0.003, 0.005, 0.01, 0.05, 0.1)])
        preimages = found.preimages()
        sizes.append([preimages[abs(losses - v) < v / 10].mean() for v in (0.01, 0.05)])
    assert abs(minima[0] - 625) < 5 * SPREAD and abs(np.mean(minima) - 625) < 5 * SPREAD / np.sqrt(20)
    printed = uniform_ends([0.003, 0.005, 0.01, 0.05, 0.1], 24)
    np.testing.assert_allclose(np.mean(ends, axis=0), printed, atol=0.04)
    np.testing.assert_allclose(np.mean(sizes, axis=0), uniform_preimage([0.01, 0.05], 24), rtol=0.15)


def test_theory_of_normal_losses_against_draws():
    """A neighborhood far wider than [0, 1] is uniform; else compare with drawn neighborhoods."""
    wide = normal_minima(15625, 24, mean=0.5, spread=50, step=50)
    assert wide == pytest.approx(uniform_minima(15625, 24), rel=1e-3)
    rng = np.random.default_rng(0)

    def drawn(center, width):
        values = rng.normal(center, width)
        while (outside := (values < 0) | (values > 1)).any():
            values = np.where(outside, rng.normal(center, width), values)
        return values

    v = drawn(np.full(40000, 0.25), 0.18)
    share = (drawn(np.repeat(v[:, None], 24, 1), 0.35) > v[:, None]).all(axis=1).mean()
    expected = normal_minima(1, 24, mean=0.25, spread=0.18, step=0.35)
    assert share == pytest.approx(expected, abs=4 * np.sqrt(expected / 40000))


def test_noise_adds_minima():
    losses = NB201().archs(np.arange(15625)).sum(axis=1) / 8.0
    counts = noisy_minima(
        losses, NEAR, sigma=0.1, factors=(0.0, 1.0, 1e6), draws=3, rng=np.random.default_rng(0)
    )
    assert (counts[0] == 1).all() and (counts[0] <= counts[1]).all()
    assert abs(counts[2].mean() - 625) < 5 * SPREAD / np.sqrt(3)


def test_noise_between_trainings_is_pooled():
    values = np.random.default_rng(0).normal(0, 0.3, (4000, 3)) + np.arange(4000)[:, None]
    values[::2, 2] = values[::10, 1] = np.nan
    assert retraining_noise(values) == pytest.approx(0.3, rel=0.03)
    assert np.isnan(retraining_noise(values[:, :1]))
