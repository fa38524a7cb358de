"""A2 and the facts in the README of the public tables, where these are at hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks import load_benchmark

ROOT = Path(__file__).resolve().parents[3] / "../shared/data/nas"
pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="the shared NAS tables are absent")
FINAL = {"epoch": "last", "seed": "mean"}


def opened(name: str, **options):
    return load_benchmark(name, root=str(ROOT), **options)


def index_of(bench, optimum) -> list[int]:
    return sorted(bench.space.index(optimum.archs).tolist())


def test_a2_nb201_cifar_maxima_and_rank_correlations():
    c10, c100, early = (
        opened("nb201-cifar", dataset=d) for d in ("cifar10/200", "cifar100/200", "cifar10-valid/12")
    )
    best = c10.optimum(split="test", metric="acc", **FINAL)
    assert best.value == pytest.approx(94.373, abs=5e-4) and index_of(c10, best) == [6111, 13714]
    best = c100.optimum(split="test", metric="acc", **FINAL)
    assert best.value == pytest.approx(73.513, abs=5e-4) and index_of(c100, best) == [9930]
    val12 = early.query(early.archs, split="val", metric="acc", epoch=12, seed="mean")
    test200, hundred = (
        b.query(b.archs, split="test", metric="acc", epoch=200, seed="mean") for b in (c10, c100)
    )
    assert kendalltau(val12, test200)[0] == pytest.approx(0.594, abs=0.002)
    assert kendalltau(test200, hundred)[0] == pytest.approx(0.882, abs=0.002)


def test_nb201_cifar_rows_are_the_official_order_and_classes():
    bench = opened("nb201-cifar", dataset="cifar10/200")
    assert np.array_equal(bench.space.index(bench.archs), np.arange(15625))
    labels = bench.property_of(bench.archs, "iso_class")
    assert len(np.unique(labels)) == 6466
    values = bench.query(bench.archs, split="test", metric="acc", **FINAL)
    spread = [
        values[labels == label].std(ddof=1) for label in np.unique(labels) if (labels == label).sum() > 1
    ]
    assert np.median(spread) == pytest.approx(0.15, abs=0.005)


def test_splits_and_schedules_of_nb201_cannot_be_mixed_up():
    """cifar10 has no validation images left, and 12 epochs are not the beginning of 200."""
    with pytest.raises(InputError, match=r"has no 'val/acc'; it has test/acc"):
        bench = opened("nb201-cifar", dataset="cifar10/200")
        bench.query(bench.archs[:1], split="val", metric="acc", **FINAL)
    with pytest.raises(InputError, match="known: 200"):
        bench = opened("nb201-cifar", dataset="cifar100/200")
        bench.query(bench.archs[:1], split="test", metric="acc", epoch=12, seed="mean")
    with pytest.raises(InputError, match="seed .* 777 is not known; known: mean"):
        bench.query(bench.archs[:1], split="test", metric="acc", epoch=200, seed=777)
    with pytest.raises(InputError, match="say which data set: cifar10/200, cifar100/200, cifar10/12"):
        opened("nb201-cifar")
    optima = opened("nb201-cifar", dataset="cifar100/12").optima(**FINAL)
    assert set(optima) == {"val/acc", "test/acc"}
    assert opened("nb201-cifar", dataset="cifar10/12").optimum(
        split="test", metric="acc", **FINAL
    ).value == pytest.approx(89.16, abs=0.005)


def test_nb201_one_seed_optima():
    for dataset, index, loss in (("cifar10-valid/200", 1459, 8.43), ("cifar100/200", 3888, 26.74)):
        bench = opened("nb201-one-seed", dataset=dataset)
        best = bench.optimum(split="val", metric="acc", epoch=200, seed=0)
        assert index_of(bench, best) == [index] and 100 - best.value == pytest.approx(loss, abs=0.005)


def test_a23_spikenas_curves_are_ragged():
    bench = opened("spikenas")
    archs = bench.archs
    assert archs.shape == (11000, 6)
    final = bench.query(archs, split="val", metric="acc", epoch="last", seed=0)
    assert not np.isnan(final).any()
    percentiles = np.percentile(final, [0, 5, 25, 50, 75, 95, 100])
    np.testing.assert_allclose(percentiles, [9.9, 80.5, 85.9, 86.9, 87.5, 88.0, 89.1], atol=0.051)
    curves = bench.curves(archs, split="val", metric="acc", seed="all")
    lengths = bench.lengths(archs)[:, 0]
    assert curves.values.shape == (11000, 1, 200) and set(lengths) == {100, 200}
    assert np.array_equal(curves.mask.sum(axis=2)[:, 0], lengths)
    assert curves.counts()["partial"] == (lengths == 100).sum()
    assert np.isnan(bench.query(archs[lengths == 100], split="val", metric="acc", epoch=101, seed=0)).all()
    hundred = curves.values[lengths == 100, 0, :100]
    assert (final < 11).mean() == pytest.approx(0.021, abs=0.001)
    live = hundred[hundred[:, -1] > 11]
    for epoch, tau in ((1, 0.19), (5, 0.35), (10, 0.47), (20, 0.59), (50, 0.80), (80, 0.88)):
        assert kendalltau(live[:, epoch - 1], live[:, -1])[0] == pytest.approx(tau, abs=0.011)
    _, sizes, right = np.linalg.svd(hundred, full_matrices=False)
    for k, rmse in ((1, 1.30), (2, 0.90), (3, 0.84), (4, 0.79), (6, 0.72), (10, 0.61), (20, 0.44)):
        rest = np.sqrt((sizes[k:] ** 2).sum() / hundred.size)
        assert rest == pytest.approx(rmse, abs=0.015)
    assert right.shape == (100, 100)
    with pytest.raises(InputError, match="known: last"):
        bench.query(archs[:1], split="test", metric="acc", epoch=100, seed=0)
    test = bench.query(archs, split="test", metric="acc", epoch="last", seed=0)
    assert np.corrcoef(test, final)[0, 1] > 0.99
    seconds = bench.table["train_seconds"]
    np.testing.assert_allclose(bench.cost(archs, epoch="last", seed=0), seconds)
    np.testing.assert_allclose(bench.cost(archs[:1], epoch=50, seed=0), seconds[:1] / 2)


def test_macro_is_complete_and_its_mean_is_the_files():
    bench = opened("macro")
    assert bench.archs.shape == (6561, 8) and len(np.unique(bench.archs, axis=0)) == 6561
    assert set(np.unique(bench.archs)) == {0, 1, 2}
    mean = bench.query(bench.archs, split="test", metric="acc", **FINAL)
    np.testing.assert_allclose(mean, bench.table["mean_acc"], atol=1e-5)
    first = bench.query(["0,0,0,0,0,0,0,1"], split="test", metric="acc", epoch="last", seed=2)
    assert first == pytest.approx([64.21], abs=1e-4)
    assert bench.property_of(bench.archs[:2], "params").tolist() == [387882, 791594]
    assert bench.space.neighbor_table().shape == (6561, 16)


@pytest.mark.parametrize("dataset", ["cora", "citeseer", "pubmed", "cs", "physics", "photo"])
def test_graph_tables(dataset):
    bench = opened("graph", dataset=dataset)
    assert bench.archs.shape == (26206, 5) and bench.archs.max() == 8
    if dataset == "cora":
        value = bench.query(bench.archs[:2], split="val", metric="acc", **FINAL)
        np.testing.assert_allclose(value, [77.33333, 77.26667], atol=1e-4)
        assert bench.space.to_strings(bench.archs[:3]) == ["0,0,0,0,0", "0,0,0,0,1", "0,0,0,0,2"]
        assert set(bench.optima(**FINAL)) == {"val/acc", "test/acc"}


def test_an_absent_file_is_named():
    with pytest.raises(InputError, match=r"nb201_cifar\.npz' does not exist"):
        load_benchmark("nb201-cifar", root="nowhere", dataset="cifar10/200")
    with pytest.raises(InputError, match="nasbench_graph_coral"):
        opened("graph", dataset="coral")


def test_a23_nlp_runs_that_broke_off_are_masked():
    bench = opened("nlp-wikitext2")
    told = bench.table.layout.provenance
    assert told == {"logs": 250, "cells": len(bench.archs), "broken_off": 4} and len(bench.archs) == 202
    curves = bench.curves(bench.archs, split="val", metric="loss", seed="all")
    known = curves.mask.sum(axis=2)
    assert curves.values.shape[2] == 50
    assert sorted(known[(known > 0) & (known < 50)]) == [18, 22]  # of 1, 1, 19 and 23 epochs the last is NaN
    # two runs of one epoch that is no number leave nothing, like seeds that do not exist
    assert (known > 0).sum() == 248 and (known == 50).sum() == 246
    last = bench.query(bench.archs, split="val", metric="loss", epoch="last", seed="mean")
    best = bench.optimum(split="val", metric="loss", epoch="last", seed="mean")
    assert best.value == np.nanmin(last) and best.value < 4.6
    cost = bench.cost(bench.archs, epoch="last", seed="mean")
    assert (cost[~np.isnan(last)] > 0).all()
    assert "x" in bench.space.to_strings(best.archs)[0]


@pytest.mark.parametrize(
    ("name", "dataset", "cells", "properties"),
    [
        ("zc-nb201", "cifar10-valid/200", 725, 12),
        ("zc-nb201", "cifar100/200", 725, 12),
        ("zc-nb101", "cifar10", 292, 11),
        ("zc-nb301", "cifar10", 725, 12),
        ("zc-tnb-micro", "class_scene", 711, 11),
        ("zc-tnb-micro", "room_layout", 711, 11),
    ],
)
def test_zero_cost_tables(name, dataset, cells, properties):
    bench = opened(name, dataset=dataset)
    assert len(bench.archs) == cells and len(bench.properties) == properties
    values = bench.query(bench.archs, split="val", metric="acc", **FINAL)
    assert not np.isnan(values).any()
    assert not np.isnan(bench.property_of(bench.archs, "flops")).any()
    with pytest.raises(InputError, match=f"property of {dataset} 'speed' is not known; known: epe_nas"):
        bench.property_of(bench.archs, "speed")


def test_zero_cost_accuracies_belong_to_the_right_cells():
    """Its validation accuracies rank cells like the other source's test accuracies (README: 0.978)."""
    some, full = opened("zc-nb201", dataset="cifar10-valid/200"), opened("nb201-cifar", dataset="cifar10/200")
    val = some.query(some.archs, split="val", metric="acc", epoch=200, seed="mean")
    test = full.query(some.archs, split="test", metric="acc", epoch=200, seed="mean")
    ranks = [np.argsort(np.argsort(v)) for v in (val, test)]
    assert np.corrcoef(*ranks)[0, 1] == pytest.approx(0.978, abs=0.003)
    cell = some.space.from_strings(["(0, 2, 3, 2, 3, 1)"], notation="naslib")
    assert some.query(cell, split="val", metric="acc", **FINAL) == [86.06]
    assert some.property_of(cell, "params") == [0.615386]


def test_zero_cost_nb101_draws_are_at_most_three_runs():
    bench = opened("zc-nb101")
    assert bench.seeds == (0, 1, 2)
    runs = bench.curves(bench.archs, split="val", metric="acc", seed="all").values[:, :, 0]
    assert (runs[:, 0] != runs[:, 1]).all() and (np.isnan(runs).sum(axis=1) < 3).all()


def test_other_content_is_refused(tmp_path):
    (tmp_path / "naslib_zc_nb201.json.gz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read"):
        load_benchmark("zc-nb201", root=str(tmp_path), dataset="cifar100/200")
    with pytest.raises(InputError, match="does not exist"):
        load_benchmark("zc-nb301", root=str(tmp_path))
