"""The compact form, the query contract and the ledger."""

import json

import numpy as np
import pytest

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks import BENCHMARKS, load_benchmark
from sevenfold.nas.benchmarks.base import average
from sevenfold.nas.benchmarks.ledger import Ledger
from sevenfold.nas.benchmarks.summary import report, summarize
from sevenfold.nas.benchmarks.table import Table, write_table
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark
from sevenfold.nas.spaces.nb201 import NB201

CELLS = NB201().archs(np.arange(6))
CLASS = np.array([0, 1, 2, 1, 0, 3])  # results row of each cell


def example() -> tuple[dict, dict]:
    """Six cells in four classes, two seeds, four epochs; counts of correct of 50 for train, val, test.

    Row 1 breaks off after two epochs, seed 1 of row 2 is absent, row 3 has a schedule of two epochs.
    """
    rng = np.random.default_rng(0)
    acc = rng.integers(5, 50, size=(4, 2, 4, 3)).astype(np.uint16)
    loss = rng.random((4, 2, 4, 3)).astype(np.float16)
    for array, missing in ((acc, 65535), (loss, np.nan)):
        array[1, :, 2:], array[2, 1], array[3, :, 2:] = missing, missing, missing
    arrays = {
        "ops": CELLS.astype(np.uint8),
        "class_of_string": CLASS.astype(np.int16),
        "acc": acc,
        "loss": loss,
        "length": np.array([4, 4, 4, 2]),
        "flops": np.array([10, 20, 30, 40], np.int32),
        "epoch_seconds": np.array([1.0, 2.0, 3.0, 4.0], np.float32),
    }
    series = {
        f"{split}/{metric}": {"array": metric, "axes": "nrek", "k": k, **options}
        for k, split in enumerate(("train", "val", "test"))
        for metric, options in (("acc", {"scale": 2.0, "missing": 65535}), ("loss", {}))
    }
    description = {
        "space": {"name": "nb201"},
        "archs": "ops",
        "rows": "class_of_string",
        "datasets": {
            "toy": {
                "seeds": [5, 7],
                "epochs": [1, 2, 3, 4],
                "lengths": "length",
                "series": series,
                "seconds": {"array": "epoch_seconds", "axes": "n", "per": "epoch"},
                "properties": {"flops": {"array": "flops", "axes": "n"}},
            }
        },
        "provenance": {"made": "here"},
    }
    return description, arrays


@pytest.fixture
def bench() -> TableBenchmark:
    description, arrays = example()
    return TableBenchmark(Table(arrays, description))


def test_a_file_comes_back_as_it_was_written(tmp_path):
    description, arrays = example()
    write_table(tmp_path / "toy.npz", description, arrays)
    again = load_benchmark("file", path=str(tmp_path / "toy.npz"))
    here = TableBenchmark(Table(arrays, description))
    assert again.table.layout == here.table.layout and again.table.layout.provenance == {"made": "here"}
    for split in here.splits:
        for metric in here.metrics:
            mine, theirs = (
                b.curves(CELLS, split=split, metric=metric, seed="all").values for b in (again, here)
            )
            assert np.array_equal(mine, theirs, equal_nan=True)
    first = (tmp_path / "toy.npz").read_bytes()
    write_table(tmp_path / "toy.npz", description, arrays)
    assert (tmp_path / "toy.npz").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["toy.npz"]


def test_values_are_those_of_the_arrays(bench):
    _, arrays = example()
    for i, row in enumerate(CLASS):
        for s, seed in enumerate((5, 7)):
            for epoch in (1, 2, 3, 4):
                for k, split in enumerate(("train", "val", "test")):
                    ask = {"split": split, "epoch": epoch, "seed": seed}
                    acc = bench.query(CELLS[i : i + 1], metric="acc", **ask)[0]
                    loss = bench.query(CELLS[i : i + 1], metric="loss", **ask)[0]
                    stored = arrays["acc"][row, s, epoch - 1, k]
                    assert np.isnan(acc) if stored == 65535 else acc == 2.0 * stored
                    assert np.array_equal(loss, float(arrays["loss"][row, s, epoch - 1, k]), equal_nan=True)
    assert bench.property_of(CELLS, "flops").tolist() == [10.0 * (1 + row) for row in CLASS]


def test_the_mean_is_over_the_runs_that_were_measured(bench):
    ask = {"split": "val", "metric": "acc", "epoch": 1}
    runs = np.stack([bench.query(CELLS, seed=seed, **ask) for seed in (5, 7)])
    mean = bench.query(CELLS, seed="mean", **ask)
    assert np.isnan(runs[1, 2]) and mean[2] == runs[0, 2]
    np.testing.assert_allclose(np.delete(mean, 2), np.delete(runs, 2, axis=1).mean(axis=0))


def test_a23_last_is_the_end_of_the_schedule_not_of_what_was_measured(bench, caplog):
    caplog.set_level("INFO")
    ask = {"split": "val", "metric": "acc", "seed": 5}
    last = bench.query(CELLS, epoch="last", **ask)
    fourth, second = (bench.query(CELLS, epoch=epoch, **ask) for epoch in (4, 2))
    assert last[5] == second[5] and np.isnan(fourth[5])  # a schedule of two epochs
    assert np.isnan(last[[1, 3]]).all() and not np.isnan(second[[1, 3]]).any()  # broke off
    assert last[0] == fourth[0] == last[4]
    assert "2 of 6 values are missing" in caplog.text
    counts = bench.curves(CELLS, split="val", metric="acc", seed="all").counts()
    assert counts == {"values": 48, "missing": 3 * 4 + 4, "runs": 12, "empty": 1, "partial": 6}


def test_strings_are_read(bench):
    strings = bench.space.to_strings(CELLS)
    ask = {"split": "val", "metric": "acc", "epoch": 2, "seed": "mean"}
    assert np.array_equal(bench.query(strings, **ask), bench.query(CELLS, **ask))


def test_cost_is_cumulative_seconds(bench):
    assert bench.cost(CELLS, epoch=3, seed=5).tolist() == [3.0 * (1 + row) for row in CLASS]
    assert bench.cost(CELLS, epoch="last", seed="mean").tolist() == [4, 8, 12, 8, 4, 8]
    assert np.isnan(load_benchmark("uniform-nb201").cost(CELLS, epoch=1, seed=0)).all()


@pytest.mark.parametrize(
    ("per", "axes", "stored", "expected"),
    [
        ("run", "n", [8.0, 8.0, 8.0, 8.0], [2, 4, 6, 8]),
        ("until", "ne", np.tile([1.0, 3.0, 6.0, 10.0], (4, 1)), [1, 3, 6, 10]),
        ("epoch", "ne", np.tile([1.0, 3.0, 6.0, np.nan], (4, 1)), [1, 4, 10, 10]),
    ],
)
def test_the_three_kinds_of_seconds(per, axes, stored, expected):
    description, arrays = example()
    description["datasets"]["toy"]["seconds"] = {"array": "s", "axes": axes, "per": per}
    bench = TableBenchmark(Table({**arrays, "s": np.array(stored)}, description))
    assert [bench.cost(CELLS[:1], epoch=e, seed=5)[0] for e in (1, 2, 3, 4)] == expected


def test_optima_of_every_split(bench):
    optima = bench.optima(epoch=2, seed="mean")
    assert set(optima) == set(bench.series) and len(optima) == 6
    for key, optimum in optima.items():
        split, metric = key.split("/")
        values = bench.query(bench.archs, split=split, metric=metric, epoch=2, seed="mean")
        assert optimum.value == (values.min() if metric == "loss" else values.max())
        assert np.array_equal(optimum.archs, CELLS[values == optimum.value])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "valid"}, "no 'valid/acc'; it has train/acc, train/loss, val/acc"),
        ({"metric": "mae"}, "no 'val/mae'; it has"),
        ({"epoch": 5}, "epoch of toy, val/acc, 5 is not known; known: 1, 2, 3, 4"),
        ({"epoch": 0}, "known: 1, 2, 3, 4"),
        ({"epoch": "best"}, "known: 1, 2, 3, 4"),
        ({"seed": 6}, "seed of toy 6 is not known; known: 5, 7"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(bench, change, message):
    ask = {"split": "val", "metric": "acc", "epoch": 2, "seed": 5, **change}
    with pytest.raises(InputError, match=message) as error:
        bench.query(CELLS, **ask)
    assert "\n" not in str(error.value)


def test_nothing_has_a_silent_default(bench):
    with pytest.raises(TypeError):
        bench.query(CELLS, split="val", metric="acc", epoch=2)
    with pytest.raises(TypeError):
        bench.query(CELLS, split="val", metric="acc", seed=5)
    description, arrays = example()
    description["datasets"]["other"] = description["datasets"]["toy"]
    with pytest.raises(InputError, match="say which data set: toy, other"):
        TableBenchmark(Table(arrays, description))
    with pytest.raises(InputError, match="Did you mean 'toy'"):
        TableBenchmark(Table(arrays, description), dataset="toi")


def test_unknown_cells_are_named(bench):
    ask = {"split": "val", "metric": "acc", "epoch": 2, "seed": 5}
    with pytest.raises(InputError, match=r"\|zap~0\|"):
        bench.query(["|zap~0|+|none~0|none~1|+|none~0|none~1|none~2|"], **ask)
    absent = bench.space.archs(np.arange(5, 8))
    with pytest.raises(InputError, match="2 of 3 architectures are not among the 6") as error:
        bench.query(absent, **ask)
    assert bench.space.to_strings(absent[1:2])[0] in str(error.value)
    with pytest.raises(InputError, match=r"shape \(n, 6\)"):
        bench.query(CELLS[:, :5], **ask)


def test_damaged_files_are_refused(tmp_path):
    description, arrays = example()
    write_table(path := tmp_path / "toy.npz", description, arrays)
    with np.load(path) as file:
        content = dict(file)
    content["acc"] = content["acc"] + 1
    np.savez(tmp_path / "changed.npz", **content)
    bench = load_benchmark("file", path=str(tmp_path / "changed.npz"))
    bench.query(CELLS, split="val", metric="loss", epoch=1, seed=5)
    with pytest.raises(InputError, match="array 'acc': wrong checksum"):
        bench.query(CELLS, split="val", metric="acc", epoch=1, seed=5)
    (tmp_path / "short.npz").write_bytes(path.read_bytes()[:-99])
    np.savez(tmp_path / "plain.npz", ops=CELLS)
    content["meta"] = np.array(json.dumps({"format": "other"}))
    np.savez(tmp_path / "other.npz", **content)
    messages = {
        "short": "no readable",
        "plain": "no metric among ops",
        "other": "format 'other'",
        "no": "not exist",
    }
    for name, message in messages.items():
        with pytest.raises(InputError, match=message):
            load_benchmark("file", path=str(tmp_path / f"{name}.npz"))
    objects = tmp_path / "objects.npz"
    np.savez(objects, **{**content, "ops": np.array([None, "x"], object), "meta": np.load(path)["meta"]})
    with pytest.raises(InputError, match="objects.npz' is no readable .npz without objects"):
        load_benchmark("file", path=str(objects))


def test_descriptions_are_checked(tmp_path):
    description, arrays = example()
    toy = description["datasets"]["toy"]
    for change, message in [
        ({"seed": [1]}, "'toy': unknown key 'seed'. Did you mean 'seeds'"),
        ({"seeds": [1, 2, 3]}, "shape .4, 2, 4, 3., described as axes 'nrek' with 3 seeds and 4 epochs"),
        ({"series": {"val/acc": {"array": "ac"}}}, "no array 'ac'. Did you mean 'acc'"),
        ({"series": {"val/acc": {"arrays": "acc"}}}, "'toy.series.val/acc': unknown key 'arrays'"),
        ({"series": {"val/acc": {"axes": "n"}}}, "'toy.series.val/acc': .*'array'"),
    ]:
        with pytest.raises(InputError, match=message):
            write_table(tmp_path / "x.npz", {**description, "datasets": {"toy": {**toy, **change}}}, arrays)
    assert not list(tmp_path.iterdir())


def test_average_ignores_nan_and_only_nan():
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan], [np.inf, 1.0, 1.0]])
    assert np.array_equal(average(values, axis=1), [2.0, np.nan, np.inf], equal_nan=True)


def test_the_ledger_counts_queries_seconds_and_duplicates(bench):
    ledger = Ledger(bench, split="val", metric="acc", seed=5)
    ledger.query(CELLS[[0, 2, 0]], epoch=2)  # 1 and 3 seconds an epoch; the third is a repeat
    assert ledger.summary() == {"spent": 2, "duplicates": 1, "missing": 0, "seconds": 8.0}
    assert [entry.duplicate for entry in ledger.log] == [False, False, True]
    assert [entry.clock for entry in ledger.log] == [2.0, 8.0, 8.0]
    ledger.query(CELLS[:1], epoch=4)  # two more epochs of a known cell
    assert ledger.summary() == {"spent": 2, "duplicates": 1, "missing": 0, "seconds": 10.0}
    ledger.query(CELLS[:1], epoch=3)  # on the way there: free
    assert (ledger.duplicates, ledger.seconds) == (2, 10.0)
    values = ledger.query(CELLS[1:2], epoch=4)  # broke off
    assert np.isnan(values).all() and (ledger.missing, ledger.spent) == (1, 3)


def test_separate_runs_are_paid_in_full():
    description, arrays = example()
    description["datasets"]["toy"] |= {"separate_runs": True}
    ledger = Ledger(TableBenchmark(Table(arrays, description)), split="val", metric="acc", seed=5)
    for epoch in (4, 2, 2, "last"):
        ledger.query(CELLS[:1], epoch=epoch)
    assert ledger.summary() == {"spent": 1, "duplicates": 2, "missing": 0, "seconds": 6.0}


def test_a_ledger_resumes_from_plain_values(bench):
    ledger = Ledger(bench, split="val", metric="acc", seed="mean")
    ledger.query(CELLS[:3], epoch=2)
    again = Ledger(bench, split="val", metric="acc", seed="mean")
    again.load_state_dict(json.loads(json.dumps(ledger.state_dict())))
    for each in (ledger, again):
        each.query(CELLS[:4], epoch=3)
        each.query(CELLS[:1], epoch="last")
    assert json.dumps(again.state_dict()) == json.dumps(ledger.state_dict())


def test_an_unknown_benchmark_is_named():
    with pytest.raises(InputError, match="nb201-cifar"):
        load_benchmark("nb201-cifer")
    with pytest.raises(InputError, match="unknown key"):
        load_benchmark("uniform-nb201", epochs=3)
    assert len(BENCHMARKS) >= 9


@pytest.mark.parametrize("name", ["synthetic-nb201", "uniform-nb201", "synthetic-nb101"])
def test_benchmarks_without_files_keep_the_contract(name):
    bench = load_benchmark(name)
    archs = bench.space.sample(np.random.default_rng(0), 5)
    for key, epochs in bench.series.items():
        split, metric = key.split("/")
        for seed in (*bench.seeds, "mean"):
            values = bench.query(archs, split=split, metric=metric, epoch=epochs[-1], seed=seed)
            assert values.shape == (5,) and values.dtype == np.float64
            last = bench.query(archs, split=split, metric=metric, epoch="last", seed=seed)
            assert np.array_equal(values, last)
        curves = bench.curves(archs, split=split, metric=metric, seed="mean")
        assert curves.values.shape == (5, 1, len(epochs)) and np.array_equal(curves.values[:, 0, -1], last)
        assert bench.query(archs[:0], split=split, metric=metric, epoch="last", seed="mean").shape == (0,)


def test_a23_a_summary_reports_optima_and_what_is_missing(bench):
    records = {record["series"]: record for record in summarize(bench)}
    assert set(records) == set(bench.series)
    record = records["val/loss"]
    assert {key: record[key] for key in ("dataset", "values", "missing", "runs", "empty", "partial")} == {
        "dataset": "toy",
        "values": 48,
        "missing": 16,
        "runs": 12,
        "empty": 1,
        "partial": 6,
    }
    best = bench.optimum(split="val", metric="loss", epoch="last", seed="mean")
    assert record["best"] == best.value and record["arch"] == bench.space.to_strings(best.archs)[0]
    lines = list(report(bench.table))
    assert lines[0] == "toy: 6 architectures, 4 epochs, seeds 5, 7" and len(lines) == 7
    assert "16 of 48 values missing, 1 of 12 runs empty, 6 partial" in lines[1]


def test_a_series_without_a_value_is_summarized():
    description, arrays = example()
    arrays["loss"][:] = np.nan
    bench = TableBenchmark(Table(arrays, description))
    record = next(record for record in summarize(bench) if record["series"] == "val/loss")
    assert record["best"] is None and record["empty"] == 12
    with pytest.raises(InputError, match="no value was measured"):
        bench.optimum(split="val", metric="loss", epoch="last", seed="mean")
