"""A csv, npz or parquet becomes a benchmark by its description."""

import gzip
import json
import sys

import numpy as np
import pytest

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.benchmarks.convert import main

CSV = """arch,e0,e1,e2,run_a,run_b,first,second,third,seconds,params
001,0,0,1,90.5,91.5,10,20,30,60,7
010,0,1,0,80.0,,11,21,31,90,8
112,1,1,2,70.0,72.0,12,22,,30,9
"""
DESCRIPTION = {
    "space": {"name": "listed"},
    "archs": ["e0", "e1", "e2"],
    "datasets": {
        "mine": {
            "seeds": [3, 4],
            "epochs": [1, 2, 3],
            "series": {
                "val/acc": {"array": ["run_a", "run_b"], "axes": "nr", "at_end": True},
                "val/loss": {"array": ["first", "second", "third"], "axes": "ne"},
            },
            "seconds": {"array": "seconds", "axes": "n", "per": "run"},
            "properties": {"params": {"array": "params", "axes": "n"}},
        }
    },
}


@pytest.fixture
def path(tmp_path):
    (tmp_path / "mine.csv").write_text(CSV)
    return tmp_path / "mine.csv"


def check(bench) -> None:
    last = {"split": "val", "metric": "acc", "epoch": "last"}
    assert bench.query(["1,1,2", "0,0,1"], seed=3, **last).tolist() == [70.0, 90.5]
    assert bench.query(["0,0,1", "0,1,0"], seed="mean", **last).tolist() == [91.0, 80.0]
    loss = {"split": "val", "metric": "loss", "seed": 3}
    assert np.array_equal(bench.query(bench.archs, epoch=3, **loss), [30, 31, np.nan], equal_nan=True)
    assert bench.optimum(epoch=2, **loss).value == 20
    assert bench.cost(bench.archs, epoch=2, seed=4).tolist() == [40, 60, 20]
    assert bench.property_of(bench.archs, "params").tolist() == [7, 8, 9]


def test_a_csv_by_columns_of_codes(path):
    check(load_benchmark("file", path=str(path), description=DESCRIPTION))


def test_a_compressed_csv_by_strings_of_digits(path, tmp_path):
    with gzip.open(tmp_path / "mine.csv.gz", "wt") as file:
        file.write(CSV)
    description = {**DESCRIPTION, "archs": "arch", "notation": "digits"}
    check(load_benchmark("file", path=str(tmp_path / "mine.csv.gz"), description=description))


def test_a_space_of_its_own_and_its_notation(tmp_path):
    cells = ["(4, 0, 3, 1, 4, 3)", "(0, 0, 0, 0, 0, 0)"]
    (tmp_path / "x.csv").write_text("\n".join(["cell,y", *(f'"{cell}",{i}' for i, cell in enumerate(cells))]))
    dataset = {"seeds": ["mean"], "epochs": [200], "series": {"val/acc": {"array": "y", "axes": "n"}}}
    description = {
        "space": {"name": "nb201"},
        "archs": "cell",
        "notation": "naslib",
        "datasets": {"d": dataset},
    }
    bench = load_benchmark("file", path=str(tmp_path / "x.csv"), description=description)
    archs = bench.space.from_strings(cells, notation="naslib")
    ask = {"split": "val", "metric": "acc", "epoch": 200, "seed": "mean"}
    assert bench.query(archs, **ask).tolist() == [0, 1]
    with pytest.raises(InputError, match="1 of 1 architectures are not among the 2"):
        bench.query(archs[:1] * 0, **ask)


def test_an_npz_with_a_description(tmp_path):
    arrays = {
        "codes": np.array([[0, 0, 1], [0, 1, 0], [1, 1, 2]]),
        "acc": np.array([[181, 183], [160, 255], [140, 144]], np.uint8),
        "loss": np.array([[10, 20, 30], [11, 21, 31], [12, 22, np.nan]], np.float16),
        "seconds": np.array([60, 90, 30]),
        "params": np.array([7, 8, 9]),
    }
    np.savez(tmp_path / "mine.npz", **arrays)
    mine = DESCRIPTION["datasets"]["mine"]
    series = {
        "val/acc": {"array": "acc", "axes": "nr", "at_end": True, "scale": 0.5, "missing": 255},
        "val/loss": {"array": "loss", "axes": "ne"},
    }
    description = {**DESCRIPTION, "archs": "codes", "datasets": {"mine": {**mine, "series": series}}}
    check(load_benchmark("file", path=str(tmp_path / "mine.npz"), description=description))


def test_a_parquet_needs_its_library_and_says_so(tmp_path, monkeypatch):
    (tmp_path / "mine.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="parquet needs pyarrow: pip install"):
        load_benchmark("file", path=str(tmp_path / "mine.parquet"), description=DESCRIPTION)


def test_a_parquet_equals_its_csv(path, tmp_path):
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    pandas.read_csv(path).to_parquet(tmp_path / "mine.parquet")
    check(load_benchmark("file", path=str(tmp_path / "mine.parquet"), description=DESCRIPTION))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CSV + "1,2\n", "row 5: 2 cells, the header has 11"),
        (CSV.splitlines()[0], "no rows below its header"),
        (CSV.replace("e2", "e3"), "has no column 'e2'; it has arch, e0, e1, e3"),
        (CSV.replace("\n112,1,1,2", "\n001,0,0,1"), "listed twice, the first is 0,0,1; remove 1 rows"),
        (CSV.replace("112,1,1,2", "112,1,1,x"), "needs integer rows"),
        (CSV.replace("params", "param"), "has no array 'params'"),
    ],
)
def test_wrong_tables_are_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        bench = load_benchmark("file", path=str(tmp_path / "mine.csv"), description=DESCRIPTION)
        bench.property_of(bench.archs, "params")
    assert "\n" not in str(error.value)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "mine.xlsx").write_bytes(b"")
    for name, message in (
        ("mine.xlsx", "expected a name ending in .csv"),
        ("no.csv", "does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            load_benchmark("file", path=str(tmp_path / name), description=DESCRIPTION)


def test_any_table_converts_to_the_compact_form(path, tmp_path, capsys):
    (tmp_path / "mine.json").write_text(json.dumps(DESCRIPTION))
    arguments = ["table", str(path), str(tmp_path / "out.npz"), "--description", str(tmp_path / "mine.json")]
    assert main(arguments) == 0
    bench = load_benchmark("file", path=str(tmp_path / "out.npz"))
    check(bench)
    assert bench.table.layout.provenance["source"] == "mine.csv"
    bench.table.check()
    assert main(arguments[:3]) == 2
    assert "convert.description: is required" in capsys.readouterr().err
    (tmp_path / "mine.json").write_text("{")
    assert main(arguments) == 2
    assert "mine.json' is no JSON" in capsys.readouterr().err
