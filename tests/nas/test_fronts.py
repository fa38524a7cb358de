"""Searches of several losses of a table: regrets by hypervolume, true fronts, constraints, attainment."""

from pathlib import Path

import numpy as np
import pytest

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.nas import FrontStudy, ObjectiveSearchStudy, load_benchmark
from sevenfold.nas.pareto import attainment, front, hypervolume
from sevenfold.nas.studies.front_summary import feasible, regrets
from sevenfold.nas.studies.objective import Further

DATA = Path(__file__).resolve().parents[2] / "../shared/data/nas"
ARMS = ("random", "evolution", "local_search")
ALGORITHMS = {name: {"name": name} for name in ARMS}
BOTH = ["val/error", "params"]


@pytest.fixture(scope="module")
def searched():
    study = FrontStudy(algorithms=ALGORITHMS, minimize=BOTH, budget=60, trials=8, reference="random")
    return study, study.run_all()


def table():
    bench = load_benchmark("digits-nb201")
    archs = bench.archs
    acc = bench.query(archs, split="val", metric="acc", epoch="last", seed="mean")
    return archs, np.stack([100 - acc, bench.property_of(archs, "params")], 1)


def test_regrets_are_shares_of_the_volume_of_the_tables_front(searched, tmp_path):
    study, records = searched
    _, losses = table()
    corner = np.percentile(losses, 90, axis=0)
    volume = hypervolume(losses, corner)
    views, reference = regrets(records)
    assert reference == pytest.approx(corner)
    edge = {tuple(point) for point in losses[front(losses)].tolist()}
    for record, view in zip(records, views, strict=True):
        points = np.array(record["points"])
        assert view["val_regret"] == pytest.approx(1 - hypervolume(points, corner) / volume, abs=1e-12)
        assert view["val_curve"] == sorted(view["val_curve"], reverse=True) and record["queries"][-1] == 60
        share = len(edge & {tuple(point) for point in record["points"]}) / len(edge)
        assert record["front_share"] == pytest.approx(share)
    best = study.table.archs[front(losses)]
    assert study._share(study.measured(best)) == 1 > study._share(study.measured(best[:1])) > 0
    report = study.report(records, tmp_path)
    assert report.sections[0].rows[0].count("hypervolume regret") == 1
    means = {arm: np.mean([v["val_regret"] for v in views if v["group"] == arm]) for arm in ARMS}
    for arm, mean in means.items():
        assert report.scalars[f"{arm}/hypervolume_regret/mean"] == pytest.approx(mean)
    best = min(means, key=means.__getitem__)
    assert f"{best} has the lowest mean hypervolume regret" in report.text[0]
    assert report.pictures[0].name == "attainment.png" and report.pictures[0].stat().st_size > 10_000


def test_constraints_bind_the_true_front_and_the_searches(tmp_path):
    _, losses = table()
    bound = float(np.percentile(losses[:, 1], 30))
    study = FrontStudy(
        algorithms=ALGORITHMS, minimize=["val/error", "flops"], constraints={"params": f"<= {bound}"},
        budget=60, trials=4,
    )  # fmt: skip
    records = study.run_all()
    bench = load_benchmark("digits-nb201")
    flops = bench.property_of(bench.archs, "flops")
    inside = np.stack([losses[:, 0], flops], 1)[losses[:, 1] <= bound]
    corner = np.percentile(inside, 90, axis=0)
    assert records[0]["volume"] == pytest.approx(hypervolume(inside, corner))
    known = {tuple(row) for row in inside.tolist()}
    for record in records:
        points = feasible(record)
        assert all(tuple(p) in known for p in points[~np.isnan(points).any(1)].tolist())
    free = {
        arm: np.mean([~np.isnan(feasible(r)).any(1) for r in records if r["group"] == arm]) for arm in ARMS
    }
    assert free["evolution"] > free["random"] < free["local_search"]
    assert study.report(records, tmp_path).headline[1][0] in ARMS


def test_an_objective_of_several_values_is_judged_against_all_searches(tmp_path):
    space = {"name": "typed", "parameters": {"x": {"float": [0, 1]}, "y": {"float": [0, 1]}}}
    study = ObjectiveSearchStudy(
        space=space, algorithms=ALGORITHMS, minimize=["a", "b"], budget=30, trials=2
    )  # the rehearsal: distances from two points
    records = study.run_all(tmp_path / "run")
    points = np.concatenate([np.array(record["points"]) for record in records])
    first = np.concatenate([np.array(record["points"])[:20] for record in records])
    corner = np.percentile(first, 90, axis=0)
    views, reference = regrets(records)
    assert reference == pytest.approx(corner)
    for record, view in zip(records, views, strict=True):
        own = hypervolume(record["points"], corner) / hypervolume(points, corner)
        assert view["val_regret"] == pytest.approx(1 - own, abs=1e-12)
        assert [list(v.values()) for _, v in record["front"]] == sorted(
            np.array(record["points"])[front(record["points"])].tolist()
        )
    report = study.report(records, tmp_path)
    assert any("all searches together" in text for section in report.sections for text in section.text)
    with pytest.raises(ConfigError, match="must be 1"):
        ObjectiveSearchStudy(space=space, algorithms=ALGORITHMS, minimize=["a", "b"], seeds=Further(max=2))


def test_attained_is_what_enough_searches_dominate():
    rng = np.random.default_rng(1)
    for searches in (1, 4, 7):
        fronts = [rng.integers(0, 6, (rng.integers(1, 8), 2)).astype(float) for _ in range(searches)]
        for level in (0.25, 0.5, 0.75, 1.0):
            stair = attainment(fronts, level)
            for place in np.ndindex(7, 7):
                count = sum(bool((points <= place).all(1).any()) for points in fronts)
                below = bool(len(stair) and (stair <= place).all(1).any())
                assert below == (count >= np.ceil(level * searches))
            assert (np.diff(stair[:, 0]) > 0).all() and (np.diff(stair[:, 1]) < 0).all()
    with pytest.raises(InputError, match="level in"):
        attainment([[[0, 1]]], 0)
    with pytest.raises(InputError, match="3 losses"):
        attainment([[[0, 1, 2]]], 0.5)


def test_what_a_table_lacks_is_refused():
    for wrong, options in {
        "has no 'val/err'": {"minimize": ["val/err", "params"]},
        "two or three": {"minimize": ["val/error"]},
        "no architecture": {"minimize": BOTH, "constraints": {"params": "<= -1"}},
        "minimizes one loss only": {"minimize": BOTH, "algorithms": {"r": {"name": "reinforce"}}},
        "corner": {"minimize": BOTH, "corner": [1.0]},
    }.items():
        with pytest.raises(ConfigError, match=wrong):
            FrontStudy(**{"algorithms": ALGORITHMS, **options}).check()


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared tables of architectures are absent")
@pytest.mark.parametrize(
    ("dataset", "latency", "count"),
    [("cifar100/200", "latency_ms/pixel2", 18), ("cifar10-valid/200", "latency_ms/1080ti_1", 30)],
)
def test_the_fronts_of_error_and_latency(dataset, latency, count):
    study = FrontStudy(
        algorithms=ALGORITHMS,
        benchmark={"name": "nb201-devices", "root": str(DATA)},
        dataset=dataset,
        minimize=["val/error", latency],
    )
    assert len(study.edge) == count
