"""Searches behind a filter: A15 to A17."""

from pathlib import Path

import numpy as np
import pytest

from sevenfold.config import ConfigError, build
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.lce import EXTRAPOLATORS
from sevenfold.nas.lce.baselines import Baseline
from sevenfold.nas.lce.filtered import Filter, filtered_search, plain_search
from sevenfold.nas.lce.tables import CurveTable, curve_table
from sevenfold.seeding import numpy_generator

ROOT = Path(__file__).resolve().parents[3] / "../shared/data/nas"
real = pytest.mark.skipif(not ROOT.is_dir(), reason="the shared NAS tables are absent")


class Oracle(Baseline):
    """Knows the table: finds the training by its beginning."""

    def __init__(self, table: CurveTable, end: int) -> None:
        self.ends = {
            row.tobytes(): row_end
            for row, row_end in zip(table.curves[:, :20], table.curves[:, end - 1], strict=True)
        }

    def predict(self, seen):
        return np.array([self.ends[row.tobytes()] for row in seen.values])


def toy() -> CurveTable:
    curves = np.linspace(20, 80, 200)[:, None] + np.linspace(0, 10, 10)[None]
    return CurveTable("toy", np.random.default_rng(0).permutation(curves), None)


def test_a15_refused_ones_cost_what_was_seen_and_promoted_ones_the_whole_once() -> None:
    how = Filter(seen=3, initial=6, top=0.3)
    trace = filtered_search(
        toy(), build(EXTRAPOLATORS, {"name": "last"}, "e"), how, numpy_generator(0), budget=400
    )
    costs = np.diff(trace.epochs, prepend=0)
    assert trace.promoted[:6].all() and 0 < trace.promoted[6:].mean() < 1
    assert np.array_equal(costs, np.where(trace.promoted, 10, 3))
    assert 400 - 10 < trace.epochs[-1] <= 400


def test_refused_trainings_are_no_answer() -> None:
    table = toy()
    trace = filtered_search(
        table,
        build(EXTRAPOLATORS, {"name": "last"}, "e"),
        Filter(seen=3, initial=6),
        numpy_generator(1),
        budget=300,
    )
    order = numpy_generator(1).permutation(200)[: len(trace.epochs)]
    assert trace.best[-1] == table.curves[order[trace.promoted], -1].max()


def test_plain_search_spends_the_budget_on_whole_trainings() -> None:
    trace = plain_search(toy(), numpy_generator(0), budget=105)
    assert trace.epochs.tolist() == [10.0 * k for k in range(1, 11)] and (np.diff(trace.best) >= 0).all()


def test_a_target_that_does_not_lie_ahead_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"target: is 5; expected within \[7, 10\]"):
        Filter(seen=7).end(10)


@real
@pytest.mark.slow
def test_a16_an_oracle_saves_half_of_the_epochs() -> None:
    table = curve_table(load_benchmark("spikenas", root=str(ROOT)))
    oracle, how = Oracle(table, 100), Filter(seen=20, top=0.2, target=100)
    plain = [plain_search(table, numpy_generator(s), budget=15_000).best[-1] for s in range(60)]
    traces = [filtered_search(table, oracle, how, numpy_generator(s), budget=7_500) for s in range(60)]
    assert np.mean([trace.best[-1] for trace in traces]) >= np.mean(plain)


@real
@pytest.mark.slow
def test_a17_a_learned_filter_lowers_the_regret() -> None:
    table = curve_table(load_benchmark("spikenas", root=str(ROOT)))
    top = table.curves[:, -1].max()
    plain = [top - plain_search(table, numpy_generator(s), budget=15_000).best[-1] for s in range(60)]
    found = [
        top
        - filtered_search(
            table, build(EXTRAPOLATORS, {"name": "ridge"}, "e"), Filter(), numpy_generator(s), budget=15_000
        ).best[-1]
        for s in range(60)
    ]
    assert np.mean(found) <= 0.28 and np.mean(plain) <= 0.36
