"""Logs of NAS-Bench-301 and NAS-Bench-NLP in their own formats, generated here."""

import json
import zipfile

import numpy as np
import pytest

from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.benchmarks.convert import main
from sevenfold.nas.benchmarks.runs import Runs, ragged
from sevenfold.nas.spaces.darts import DARTS
from sevenfold.nas.spaces.nlp import NLP


def test_measurements_of_one_key_are_its_runs():
    runs = Runs(np.array([7, 3, 7, 9, 3, 7]))
    assert runs.first.tolist() == [0, 1, 3]
    assert runs.cell.tolist() == [0, 1, 0, 2, 1, 0] and runs.run.tolist() == [0, 0, 1, 0, 1, 2]
    expected = [[0, 2, 5], [1, 4, np.nan], [3, np.nan, np.nan]]
    assert np.array_equal(runs.table(np.arange(6.0)), expected, equal_nan=True)
    assert np.array_equal(ragged([[1, 2], [], [3]], 2), [[1, 2], [np.nan] * 2, [3, np.nan]], equal_nan=True)


def write_nb301(folder, archs, curves):
    strings = DARTS().to_strings(archs, notation="configspace")
    for number, (config, curve) in enumerate(zip(strings, curves, strict=True)):
        log = {
            "optimized_hyperparamater_config": {**json.loads(config), "OptimizerSelector:sgd:momentum": 0.9},
            "info": [{"val_accuracy": curve[-1] + 0.25}],
            "test_accuracy": curve[-1] - 1,
            "runtime": 100.0 * len(curve),
            "learning_curves": {"Train/val_accuracy": curve, "Train/other": []},
        }
        (target := folder / ("re", "tpe")[number % 2]).mkdir(parents=True, exist_ok=True)
        (target / f"results_{number}.json").write_text(json.dumps(log))


def test_a23_nb301_logs_of_different_lengths(tmp_path):
    rng = np.random.default_rng(0)
    archs = DARTS().sample(rng, 6)
    archs[4] = archs[0]
    curves = [rng.uniform(10, 95, size=n).tolist() for n in (8, 8, 5, 8, 8, 1)]
    write_nb301(tmp_path / "nb301", archs, curves)
    assert main(["nb301-logs", str(tmp_path / "nb301"), str(tmp_path / "nb301-logs.npz")]) == 0
    bench = load_benchmark("nb301-logs", root=str(tmp_path))
    assert len(bench.archs) == 5 and bench.seeds == (0, 1)
    stored = bench.curves(archs, split="val", metric="acc", seed="all")
    assert stored.counts() == {"values": 96, "missing": 4 * 8 + 3 + 7, "runs": 12, "empty": 4, "partial": 2}
    ask = {"split": "val", "metric": "acc"}
    last = bench.query(archs, epoch="last", seed="mean", **ask)
    expected = [np.mean([curves[i][-1] for i in ((0, 4) if n in (0, 4) else (n,))]) for n in range(6)]
    np.testing.assert_allclose(last, expected, rtol=1e-6)
    assert np.isnan(bench.query(archs, epoch=6, seed="mean", **ask)).tolist() == [0, 0, 1, 0, 0, 1]
    final = bench.query(archs, split="val", metric="final_acc", epoch="last", seed="mean")
    np.testing.assert_allclose(final, np.array(expected) + 0.25, rtol=1e-6)
    test = bench.query(archs, split="test", metric="acc", epoch="last", seed="mean")
    np.testing.assert_allclose(test, np.array(expected) - 1, rtol=1e-6)
    assert bench.cost(archs, epoch=4, seed="mean").tolist() == [400, 400, 400, 400, 400, 100]
    assert bench.property_of(archs[:4], "source").tolist() == [0, 1, 0, 1]
    assert bench.table.layout.provenance["sources"] == ["re", "tpe"]
    mirrored = archs[:1].reshape(2, 8, 2)[:, [1, 0, 2, 3, 4, 5, 7, 6]].reshape(1, 32)
    assert bench.query(mirrored, epoch="last", seed="mean", **ask) == last[:1]


def test_wrong_nb301_logs_are_named(tmp_path, capsys):
    source, out = tmp_path / "nb301", str(tmp_path / "x.npz")
    source.mkdir()
    assert main(["nb301-logs", str(source), out]) == 2
    assert "holds no logs" in capsys.readouterr().err
    write_nb301(source, DARTS().sample(np.random.default_rng(0), 1), [[50.0]])
    good = json.loads((source / "re/results_0.json").read_text())
    for change, message in [
        ({"learning_curves": {}}, "KeyError: 'Train/val_accuracy'"),
        ({"learning_curves": {"Train/val_accuracy": []}}, "empty curve"),
        ({"info": []}, "no log of NAS-Bench-301"),
        ({"optimized_hyperparamater_config": {"a": 1}}, "no DARTS architecture"),
    ]:
        (source / "re/results_0.json").write_text(json.dumps({**good, **change}))
        assert main(["nb301-logs", str(source), out]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def nlp_log(recipe, losses, as_text: bool) -> dict:
    return {
        "recepie": recipe if as_text else json.loads(recipe),
        "recepie_id": 1,
        "num_params": 1000 + len(recipe),
        "wall_times": [2.0] * len(losses),
        **{f"{split}_losses": losses for split in ("train", "val", "test")},
        "status": "OK" if np.isfinite(losses).all() else "loss is nan!",
    }


@pytest.mark.parametrize("form", ["folder", "zip", "list"])
def test_a23_nlp_logs_that_broke_off(tmp_path, form):
    space, rng = NLP(), np.random.default_rng(3)
    recipes = space.to_strings(space.sample(rng, 3))
    renamed = recipes[0].replace("node_0", "first")
    runs = [(recipes[0], [5.0, 4.0, 3.0]), (recipes[1], [6.0, float("nan")]), (renamed, [5.5, 4.5, 4.0])]
    runs.append((recipes[2], [float("nan")]))
    made = [nlp_log(*run, as_text=number % 2 == 0) for number, run in enumerate(runs)]
    if form == "folder":
        (source := tmp_path / "logs").mkdir()
        for number, log in enumerate(made):
            (source / f"log_stats_model_{number}.json").write_text(json.dumps(log))
    elif form == "zip":
        with zipfile.ZipFile(source := tmp_path / "logs.zip", "w") as archive:
            for number, log in enumerate(made):
                archive.writestr(f"logs/log_stats_model_{number}.json", json.dumps(log))
    else:
        (source := tmp_path / "logs.json").write_text(json.dumps(made))
    assert main(["nlp-logs", str(source), str(tmp_path / "nlp-logs.npz")]) == 0
    bench = load_benchmark("nlp-logs", root=str(tmp_path))
    told = {key: bench.table.layout.provenance[key] for key in ("logs", "cells", "broken_off")}
    assert told == {"logs": 4, "cells": 3, "broken_off": 2} and bench.seeds == (0, 1)
    last = bench.query(recipes, split="val", metric="loss", epoch="last", seed="mean")
    assert np.array_equal(last, [3.5, np.nan, np.nan], equal_nan=True)
    first = bench.query(recipes, split="val", metric="loss", epoch=1, seed=0)
    assert np.array_equal(first, [5.0, 6.0, np.nan], equal_nan=True)
    assert bench.cost(recipes, epoch=3, seed=0).tolist() == [6.0, 4.0, 2.0]
    best = bench.optimum(split="test", metric="loss", epoch="last", seed=1)
    first = bench.space.from_strings(recipes[:1])
    assert best.value == 4.0 and np.array_equal(bench.space.keys(best.archs), bench.space.keys(first))


def test_wrong_nlp_logs_are_named(tmp_path, capsys):
    out = str(tmp_path / "x.npz")
    (tmp_path / "a.json").write_text("[{}]")
    (tmp_path / "b.json").write_text("[{")
    (tmp_path / "c").mkdir()
    for name, message in (("a.json", "KeyError: 'recepie'"), ("b.json", "no JSON"), ("c", "holds no logs")):
        assert main(["nlp-logs", str(tmp_path / name), out]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
