"""One door for data: forms of one table, what is refused, and tables that have a test split only."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sevenfold.errors import InputError
from sevenfold.nas import load_benchmark
from sevenfold.nas.benchmarks.describe import main as describe
from sevenfold.nas.benchmarks.door import open_data
from sevenfold.nas.lce.tables import curve_table
from train import main

N, SEEDS, EPOCHS = 60, 2, 5
METRICS = ("val_acc", "val_loss", "test_acc")
RNG = np.random.default_rng(0)
PLACES = RNG.permutation(180)[:N]
LR = np.array([1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2])[PLACES // 30]
WIDTH = np.array([-1, 4, 8, 16, 64])[PLACES // 6 % 5]
OPT = np.array(["sgd", "adam", "adamw", "lion", "rms", "lamb"])[PLACES % 6]
VALUES = {
    name: np.round(RNG.uniform(0.2, 3.0 if "loss" in name else 99.0, (N, SEEDS, EPOCHS)), 3)
    for name in METRICS
}
KEYS = [{"lr": float(a), "width": int(b), "opt": str(c)} for a, b, c in zip(LR, WIDTH, OPT, strict=True)]


def wide() -> list[dict[str, Any]]:
    """One row for each training."""
    return [
        {**KEYS[n], "seed": r}
        | {f"{m}_{e + 1}": float(VALUES[m][n, r, e]) for m in METRICS for e in range(EPOCHS)}
        for n in range(N)
        for r in range(SEEDS)
    ]


def long(scale: float = 1.0) -> list[dict[str, Any]]:
    """One row for each epoch, in another order; accuracies times ``scale``."""
    rows = [
        {**KEYS[n], "epoch": e + 1, "seed": r}
        | {m: float(VALUES[m][n, r, e]) * (scale if "acc" in m else 1) for m in METRICS}
        for n in range(N)
        for r in range(SEEDS)
        for e in range(EPOCHS)
    ]
    return [*rows[: 2 * EPOCHS], *(rows[i] for i in RNG.permutation(np.arange(2 * EPOCHS, len(rows))))]


def text(rows: list[dict[str, Any]], mark: str = ",") -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=mark, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        cells = [str(value).replace(".", ",") if mark == ";" else str(value) for value in row.values()]
        writer.writerow(cells)
    return out.getvalue()


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def npz(path: Path, flat: bool) -> None:
    parameters = {"lr": LR, "width": WIDTH, "opt": OPT}
    if flat:
        twice = {name: np.repeat(values, SEEDS) for name, values in parameters.items()}
        cubes = {m: VALUES[m].reshape(N * SEEDS, EPOCHS) for m in METRICS}
        np.savez(path, **twice, seed=np.tile(np.arange(SEEDS), N), **cubes)
    else:
        np.savez(path, **parameters, **VALUES)


def write(form: str, folder: Path) -> Path:
    path = folder / form.partition(" ")[0]
    nested = {json.dumps(KEYS[n]): {m: VALUES[m][n].tolist() for m in METRICS} for n in range(N)}
    contents = {
        "a.csv": lambda: text(wide()).encode(),
        "bom.csv": lambda: b"\xef\xbb\xbf" + text(wide()).encode(),
        "semicolon.csv": lambda: text(wide(), ";").encode(),
        "a.tsv": lambda: text(wide(), "\t").encode(),
        "utf16.txt": lambda: text(wide(), "\t").encode("utf-16"),
        "a.csv.gz": lambda: gzip.compress(text(wide()).encode()),
        "records.json": lambda: json.dumps(wide()).encode(),
        "columns.json": lambda: json.dumps(columns(wide())).encode(),
        "nested.json": lambda: json.dumps(nested).encode(),
        "lines.jsonl": lambda: "\n".join(map(json.dumps, wide())).encode(),
        "long.csv": lambda: text(long()).encode(),
        "fractions.csv": lambda: text(long(0.01)).encode(),
    }
    if form == "a.parquet":
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.table(columns(wide())), path)
    elif path.suffix == ".npz":
        npz(path, flat=form == "flat.npz")
    else:
        path.write_bytes(contents[form]())
    return path


FORMS = (
    "a.csv", "bom.csv", "semicolon.csv", "a.tsv", "utf16.txt", "a.csv.gz", "a.parquet", "records.json",
    "columns.json", "nested.json", "lines.jsonl", "flat.npz", "cube.npz", "long.csv", "fractions.csv",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_one_table_in_every_form_opens_equal(form: str, tmp_path: Path) -> None:
    bench, understood = open_data(write(form, tmp_path))
    assert bench.epochs == tuple(range(1, EPOCHS + 1)) and bench.seeds == (0, 1)
    names = [f"lr={k['lr']}, width={k['width']}, opt={k['opt']}" for k in KEYS]
    assert sorted(bench.space.to_strings(bench.archs)) == sorted(names)
    archs = bench.space.from_strings(names)
    if "long" not in form and "fractions" not in form:  # architectures in the order of the file
        assert (bench.archs == archs).all()
    for name in METRICS:
        split, metric = name.split("_")
        curves = bench.curves(archs, split=split, metric=metric, seed="all")
        np.testing.assert_allclose(curves.values, VALUES[name], rtol=1e-12, atol=0)
    assert set(bench.series) == {"val/acc", "val/loss", "test/acc"}
    assert any("times 100" in line for line in understood.lines) == (form == "fractions.csv")
    assert any(line.startswith("long") for line in understood.lines) == (
        form in ("long.csv", "fractions.csv")
    )
    parts = bench.space.parts(bench.archs)
    assert parts[2].places is None and parts[0].places is not None and (parts[1].values >= 0).all()


def table(folder: Path, content: str, name: str = "a.csv") -> Path:
    (folder / name).write_text(content)
    return folder / name


@pytest.mark.parametrize(
    ("content", "hints", "message"),
    [
        ("a,val_acc\n1,0.5\n2,0.6\n3,0.4\n4,71\n5,80\n", {}, r"mixes fractions and per cent: 0.4, 0.5, 0.6"),
        ("a,seed,val_acc\n1,0,50\n2,0,60\n1,0,40\n", {}, "rows 1 and 3 have equal parameters, seed"),
        ("a,val_bleu\n1,3\n", {}, r"no known metric; say minimize: \[val_bleu\]"),
        ("a,b\n1,3\n", {}, "no metric among a, b"),
        ("val_acc\n3\n", {}, "no column says which architecture"),
        ("a,val_acc\n1,good\n", {}, "metric 'val_acc' holds 'good'"),
        ("a,val_acc\n,50\n1,60\n", {}, "parameter 'a' is empty in row 1"),
        ("a,val_acc\n1\n", {}, "row 2: 1 cells, the header has 2"),
        ("a,a,val_acc\n1,2,3\n", {}, "two columns 'a'"),
        ("a,val_acc\n1,50\n", {"sead": "a"}, "'sead' is no hint"),
        ("a,val_acc\n1,50\n", {"seed": "b"}, "no column 'b' for seed"),
        ("a,val_acc\n1,50\n", {"shape": "long"}, "a long file has a column epoch"),
        ("a,epoch,val_acc\n1,5,50\n2,9,60\n", {}, "say shape: long, or parameters"),
        ("a,val_acc,val_top1\n1,50,60\n", {}, "val_acc, val_top1 are all val/acc"),
        ("a,val_acc\n1,50\n2,inf\n", {}, "val/acc has inf, which is not within 0 and 100"),
        ("a,val_acc\n1,50\n", {"unit": "fraction"}, "val/acc has 50, which is not within 0 and 1"),
        ("a,val_acc\n1,50\n", {"minimize": ["val_acc"]}, "'val_acc' cannot be in minimize: it is val/acc"),
        ("a,accuracy,val_loss\n1,50,1\n", {}, r"'accuracy' is no known metric; say minimize: \[accuracy\]"),
        ("a,epoch,val_acc\n1,1.5,50\n1,2.5,60\n", {}, "'epoch' holds 1.5; epochs are whole numbers"),
        ("a,val_acc\n1,50\n", {"unit": "promille"}, "unit is fraction or percent"),
    ],
)
def test_what_is_ambiguous_is_refused_in_one_line(
    content: str, hints: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as error:
        open_data(table(tmp_path, content), **hints)
    assert "\n" not in str(error.value)


def test_hints_override_decisions(tmp_path: Path) -> None:
    path = table(tmp_path, "a,val_bleu,size,budget,val_acc\n1,3,10,5,0\n1,5,10,6,1\n2,4,20,5,1\n")
    hints = {"maximize": ["val_bleu"], "properties": ["size"], "unit": "fraction"}
    bench, understood = open_data(path, **hints)
    assert bench.epochs == (5, 6) and set(bench.series) == {"val/val_bleu", "val/acc"}
    assert bench.property_of(bench.archs, "size").tolist() == [10, 20]
    best = bench.optimum(split="val", metric="val_bleu", epoch=5, seed="mean")
    assert best.value == 4 and best.archs.tolist() == [[1]]
    values = bench.query(bench.archs, split="val", metric="acc", epoch=5, seed="mean")
    assert values.tolist() == [0, 100] and "property size" in str(understood)
    path = table(tmp_path, "a,budget,val_acc\n1,5,60\n2,6,70\n")
    bench, _ = open_data(path, parameters=["a", "budget"])
    assert bench.space.width == 2 and bench.series["val/acc"] == ("last",)


def test_cells_of_a_known_space_are_read_where_the_hint_says_so(tmp_path: Path) -> None:
    digits = load_benchmark("digits-nb201")
    strings = digits.space.to_strings(digits.archs[:5])
    rows = "".join(f"{s},{acc}\n" for s, acc in zip(strings, (50, 60, 70, 80, 90), strict=True))
    path = table(tmp_path, "arch,val_acc\n" + rows)
    bench, _ = open_data(path, space="nb201")
    assert (bench.archs == digits.archs[:5]).all() and type(bench.space).__name__ == "NB201"
    listed, _ = open_data(path)
    assert listed.space.to_strings(listed.archs)[0] == f"arch={strings[0]}"


SEARCH = """
study:
  name: nas_search
  path: {path}
  trials: 2
  budget: 10
  algorithms: {{random: {{name: random}}, local_search: {{name: local_search}}}}
callbacks: {{progress: null}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    return tmp_path


def test_a_table_with_a_test_split_only_is_searched_where_that_is_permitted(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{a},{b},{50 + a + b}\n" for a in range(6) for b in range(5))
    table(here, "a,b,test_acc\n" + rows)
    (here / "search.yaml").write_text(SEARCH.format(path="a.csv"))
    assert main(["--config", "search.yaml"]) == 2
    error = capsys.readouterr().err
    assert "selects on the test set; say objective.split: test" in error and error.count("\n") == 1
    assert sorted(path.name for path in here.iterdir()) == ["a.csv", "search.yaml"]
    assert main(["--config", "search.yaml", "study.objective.split=test"]) == 0
    folder = here / "runs/search/version_0"
    results = json.loads((folder / "results.json").read_text())
    assert results["selected_on"] == "test" and results["metrics"]["random/trials"] == 2
    page = (folder / "table.txt").read_text()
    assert "test regret (searched)" in page and "validation" not in page.partition("Published")[0]
    assert "metric test/acc" in page  # how the file was read
    assert main(["--config", "search.yaml", "study.path=absent.csv"]) == 2


def test_curves_of_a_loss_are_those_of_the_negated_table(tmp_path: Path) -> None:
    bench, _ = open_data(write("a.csv", tmp_path))
    losses = curve_table(bench, series="val/loss")
    np.testing.assert_array_equal(losses.curves, -VALUES["val_loss"][:, 0])
    np.testing.assert_array_equal(curve_table(bench).curves, VALUES["val_acc"][:, 0])
    with pytest.raises(InputError, match="no learning curves of val/auc"):
        curve_table(bench, series="val/auc")


def test_a_file_is_described_and_stored_in_the_compact_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = write("fractions.csv", tmp_path), tmp_path / "out.npz"
    assert describe([str(path), "unit=fraction", "--write", str(out)]) == 0
    assert "times 100" in capsys.readouterr().out
    stored, opened = load_benchmark("file", path=str(out)), open_data(path)[0]
    for name in METRICS:
        split, metric = name.split("_")
        pair = [b.curves(b.archs, split=split, metric=metric, seed="all").values for b in (stored, opened)]
        np.testing.assert_array_equal(*pair)
    assert stored.space.to_strings(stored.archs) == opened.space.to_strings(opened.archs)
    assert describe([str(tmp_path / "absent.csv")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
