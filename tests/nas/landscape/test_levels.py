"""Landscapes of fewer trainings: the draw, the judge, and the published figures on real seeds."""

from pathlib import Path

import numpy as np
import pytest

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.nas import NoiseLandscapeStudy, load_benchmark
from sevenfold.nas.landscape.climb import climb
from sevenfold.nas.landscape.levels import Draw, draw_level

ROOT = Path(__file__).resolve().parents[3] / "../shared/data/nas"
real = pytest.mark.skipif(not ROOT.is_dir(), reason="the shared NAS tables are absent")


def test_each_architecture_takes_its_own_trainings_uniformly():
    runs = np.array([[0.0, 1.0, 2.0], [5.0, 7.0, np.nan]]).repeat(6000, axis=0)
    for level, expected in ((1, [0, 1, 2]), (2, [0.5, 1, 1.5])):
        draw = draw_level(runs, level, np.random.default_rng(0))
        values, counts = np.unique(draw.own[:6000], return_counts=True)
        assert values.tolist() == expected
        # Five standard deviations of a binomial count.
        assert abs(counts - 2000).max() < 5 * np.sqrt(6000 * 2 / 9)
        assert set(draw.own[6000:]) == ({5.0, 7.0} if level == 1 else {6.0})
        assert set(draw.judge) == {1.0, 6.0}


def test_held_out_trainings_are_those_that_were_not_taken():
    runs = np.random.default_rng(0).random((50, 3))
    draw = draw_level(runs, 2, np.random.default_rng(1), held_out=True)
    assert np.allclose(2 * draw.own + draw.judge, runs.sum(axis=1), rtol=0, atol=1e-8)
    both = draw_level(runs[:, :2], 2, np.random.default_rng(1), held_out=True)
    assert np.isnan(both.judge).all()


def test_two_trainings_contain_the_one_of_the_same_draw():
    runs = np.random.default_rng(0).random((50, 3))
    one, two = (draw_level(runs, level, np.random.default_rng(7)).own for level in (1, 2))
    others = 2 * two - one
    pair = np.stack([one, others], axis=1)[:, None]
    assert np.isclose(runs[:, :, None], pair, rtol=0, atol=1e-8).any(axis=1).all()


def test_ends_are_judged_by_the_truth_of_a_table_small_enough_to_see():
    """A path of four: own losses 3 2 1 0 climb to the last; its true loss is .5 above the best."""
    near = np.array([[1, 4], [0, 2], [1, 3], [2, 4]], np.int32)
    runs = np.array([[3.0, 3.0], [2.0, 1.0], [1.0, 2.0], [0.0, 4.0]])
    own, judge = runs[:, 0], draw_level(runs, None, np.random.default_rng(0)).own
    judged = Draw(own, judge).judged(climb(own, near))
    assert judged == {"gap_mean": 0.5, "gap_median": 0.5, "share_to_true_optimum": 0.0, "optimum_gap": 0.5}


def test_an_architecture_without_training_and_levels_that_are_no_choice_are_refused():
    with pytest.raises(InputError, match="1 architectures have no training"):
        draw_level(np.array([[np.nan], [1.0]]), 1, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="levels: 3 of 3 trainings is no choice"):
        NoiseLandscapeStudy(levels=[3]).check()
    with pytest.raises(ConfigError, match="leave none to judge by"):
        NoiseLandscapeStudy(judge="held_out")


def test_equal_means_are_equal_whatever_the_order_of_the_trainings():
    runs = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.2, 0.2, 0.2], [0.1, 0.3, 0.2]])
    own = draw_level(runs, None, np.random.default_rng(0)).own
    assert len(set(own)) == 1 and len(set(runs.sum(axis=1))) > 1


@real
def test_12_and_14_landscapes_of_real_seeds_have_the_published_minima():
    """nas2.md 2.1: 13 and 26 minima, .701 and .780 of starts to the optimum, gaps .158 and .595, exactly."""
    figures = {
        "cifar10-valid/200": (13, 13, 0.701, 4.939, 0.158, {1: (26.4, 4.2), 2: (16.2, 0.8)}),
        "cifar100/200": (26, 25, 0.780, 4.798, 0.595, {1: (54.2, 5.5), 2: (31.8, 3.3)}),
    }
    for dataset, (minima, strict, share, steps, gap, drawn) in figures.items():
        bench = {"name": "nb201-seeds", "root": str(ROOT), "dataset": dataset}
        study = NoiseLandscapeStudy(benchmark=bench, levels=[0, 1, 2], draws=1)
        assert np.isnan(study.runs).sum(axis=0).tolist() == [0, 0, 7456]
        by_level = {record["level"]: record for record in study.run_all()}
        whole, one, two = (by_level[level] for level in ("all", "1", "2"))
        assert (whole["minima"], whole["strict_minima"]) == (minima, strict)
        assert whole["share_to_optimum"] == pytest.approx(share, abs=5e-4)
        assert whole["steps_mean"] == pytest.approx(steps, abs=5e-4)
        assert whole["gap_mean"] == pytest.approx(gap, abs=5e-4)
        for record, level in ((one, 1), (two, 2)):
            mean, deviation = drawn[level]
            assert abs(record["minima"] - mean) < 5 * max(deviation, 1)
        assert whole["deviation_pooled"] > 1.4 * whole["deviation_median"]


@real
def test_latencies_of_27_devices_stand_beside_the_cells():
    bench = load_benchmark("nb201-devices", root=str(ROOT), dataset="cifar100/200")
    names = [name for name in bench.properties if name.startswith("latency_ms/")]
    assert len(names) == 27
    tiny = {name for name in names if (bench.property_of(bench.archs, name) < 0.1).mean() > 0.005}
    assert tiny == {"latency_ms/pixel3", "latency_ms/raspi4"}
    assert len(np.unique(bench.property_of(bench.archs, "latency_ms/eyeriss"))) == 27
    seconds = bench.cost(bench.archs[:3], epoch="last", seed="mean")
    assert (seconds > 100).all() and (bench.property_of(bench.archs, "params") > 0).all()
