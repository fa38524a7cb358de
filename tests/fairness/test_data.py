"""Tables, splits, the synthetic generator, CSV files of the user, and bad input."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from sevenfold.config import ConfigError, build
from sevenfold.errors import InputError
from sevenfold.fairness.data import SOURCES
from sevenfold.fairness.data.csv_table import CsvTable
from sevenfold.fairness.data.load import open_source
from sevenfold.fairness.data.synthetic import PRESETS, Synthetic
from sevenfold.fairness.data.table import (
    Table,
    attribute,
    check_groups,
    check_labels,
    small_cells,
    split_rows,
    split_table,
)

# rows, features, P(y = 1); by attribute share privileged, P(y = 1) of them, of the others; the file's coding
FACTS = {
    "adult": (45222, 98, 0.2478, {"sex": (0.6750, 0.3125, 0.1136), "race": (0.8603, 0.2624, 0.1584)}),
    "bank": (30488, 57, 0.1266, {"age": (0.9717, 0.1235, 0.2303)}),
    "compas": (6167, 401, 0.4555, {"race": (0.3405, 0.3914, 0.4886), "sex": (0.1902, 0.3521, 0.4798)}),
}


@pytest.mark.parametrize("name", FACTS)
def test_published_tables_have_their_known_sizes_and_rates(name: str, real_root: Path) -> None:
    table = build(SOURCES, {"name": name, "root": str(real_root)}, "source").load()
    n, d, rate, groups = FACTS[name]
    assert table.features.shape == (n, d)
    y = 1 - table.y if name == "compas" else table.y  # the file's 1 is unfavorable there
    assert y.mean() == pytest.approx(rate, abs=5e-5)
    for key, (share, privileged, other) in groups.items():
        a = table.attributes[key]
        rates = (a.mean(), y[a == 1].mean(), y[a == 0].mean())
        assert rates == pytest.approx((share, privileged, other), abs=5.1e-5)
        assert key in table.names


def test_splits_have_the_shares_of_the_options() -> None:
    parts = split_rows(6167, 3)
    assert [len(part) for part in parts] == [3700, 1233, 1234]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(6167))


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "compas-two-years-deidentified.csv").write_text("id,race\n")
    with pytest.raises(InputError, match="sha256"):
        build(SOURCES, {"name": "compas", "root": str(tmp_path)}, "source").load()


def test_people_are_synthetic_without_files_and_a_warning_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table, protected = open_source({"name": "adult"}, str(tmp_path), "sex")
    assert (table.name, protected) == (
        "synthetic",
        "a",
    ) and "synthetic people instead of adult" in caplog.text


def test_the_label_gap_equals_its_closed_form() -> None:
    source = Synthetic(n=40_000)
    table = source.load()
    a, y = table.attributes["a"], table.y
    gap = y[a == 0].mean() - y[a == 1].mean()
    error = math.sqrt(sum(y[a == g].var() / (a == g).sum() for g in (0, 1)))
    assert source.label_gap() == pytest.approx(-0.263, abs=5e-4) and abs(gap - source.label_gap()) < 3 * error
    fair = table.truth
    assert abs(fair[a == 0].mean() - fair[a == 1].mean()) < 3 * error


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_loads_and_repeats(preset: str) -> None:
    one, two = (Synthetic(n=4000, preset=preset).load() for _ in range(2))
    assert np.array_equal(one.features, two.features) and one.truth is not None
    a = one.attributes["a"]
    gap = one.y[a == 0].mean() - one.y[a == 1].mean()
    assert (abs(gap) < 0.15) == (preset in ("none", "feature_bias"))


def test_standardization_uses_train_alone_and_drop_removes_the_column() -> None:
    table = Synthetic(n=1000, preset="intersectional").load()
    split = split_table(table, "a", 2)
    assert torch.allclose(split.train.x.mean(0), torch.zeros(len(split.names)), atol=1e-5)
    assert not torch.allclose(split.test.x.mean(0), torch.zeros(len(split.names)), atol=1e-5)
    without = split_table(table, "a", 2, drop_protected=True)
    assert without.names == [name for name in split.names if name != "a"]
    both = split_table(table, "a or b", 2, drop_protected=True)
    assert "b" not in both.names and torch.equal(both.test.y, split.test.y)
    either, each = (attribute(table, f"a {word} b") for word in ("or", "and"))
    assert (either >= table.attributes["a"]).all() and (each <= table.attributes["b"]).all()


def test_rare_levels_are_grouped_by_their_counts_in_train(real_root: Path) -> None:
    table = build(SOURCES, {"name": "compas", "root": str(real_root)}, "source").load()
    split = split_table(table, "race", 1, min_count=20)
    grouped = split.names.index("c_charge_desc=(rare)")
    assert len(split.names) < 80 and split.train.x[:, grouped].unique().numel() == 2


def write(path: Path, rows: list[str]) -> str:
    path.write_text("\n".join(["age,job,sex,risk", *rows]) + "\n")
    return str(path)


GOOD = ["31,cook,f,1", "22,none,m,2", "45,cook,m,1", "19,none,f,2"]
OPTIONS = {
    "label": "risk",
    "favorable": "1",
    "protected": {"sex": "m", "age": ">= 25"},
    "categorical": ["job"],
}


def test_csv_files_with_german_credit_coding(tmp_path: Path) -> None:
    table = CsvTable(path=write(tmp_path / "t.csv", GOOD), **OPTIONS).load()
    assert table.y.tolist() == [1, 0, 1, 0]
    assert table.attributes["sex"].tolist() == [0, 1, 1, 0] and table.attributes["age"].tolist() == [
        1,
        0,
        1,
        0,
    ]
    assert table.names == ["sex", "age", "job=cook", "job=none"]


@pytest.mark.parametrize(
    ("rows", "change", "message"),
    [
        (GOOD, {"favorable": "good"}, r"found '1' \(2\), '2' \(2\)"),
        ([*GOOD, "30,cook,f,3"], {}, "must have two values"),
        ([*GOOD, "30,,f,1"], {}, "1 of 5 rows have missing values"),
        (GOOD, {"protected": {"sex": "x"}}, "no row has the privileged value 'x'"),
        ([*GOOD, "30,cook,fem,1"], {}, "none of them was named"),
        ([*GOOD, "30,cook,None,1"], {}, "1 of 5 rows have missing values, the first in line 6"),
        ([*GOOD, "30,cook,Unknown,1"], {}, "1 of 5 rows have missing values"),
        ([*GOOD, "30,cook,f"], {}, "line 6 has 3 fields, the header 4"),
        ([*GOOD, "30,cook,f,1,9"], {}, "line 6 has 5 fields"),
        ([*GOOD, "inf,cook,f,1"], {"numeric": ["age"]}, "line 6: column 'age' is infinite"),
        ([*GOOD, '"2,5",cook,f,1'], {"numeric": ["age"], "protected": {"sex": "m"}}, "numbers with a comma"),
        ([*GOOD, '"2,5",cook,f,1'], {}, "use a decimal point"),
        ([*GOOD, "old,cook,f,1"], {}, "has the value 'old'"),
        (GOOD, {"protected": {"age": ">= x"}}, "compares with no number"),
        (GOOD, {"protected": {"sex": {"levels": {"m": "m"}, "rest": "refuse"}}}, "values in no group: 'f'"),
        (GOOD, {"encoding": "utf-99"}, "encoding"),
        (GOOD, {"decimal": ","}, "is the delimiter, too"),
        (GOOD, {"label": "rsk"}, "Did you mean 'risk'"),
        (GOOD, {"numeric": ["job"], "categorical": []}, "not numeric"),
    ],
)
def test_mistakes_in_csv_files_are_explained(
    tmp_path: Path, rows: list[str], change: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        CsvTable(path=write(tmp_path / "t.csv", rows), **{**OPTIONS, **change}).load()


def test_ranges_marks_and_decimal_commas_of_csv_files(tmp_path: Path) -> None:
    rules = {"> 31": [0, 0, 1, 0], ">= 31": [1, 0, 1, 0], "22..31": [1, 1, 0, 0]}
    for rule, expected in rules.items():
        options = {**OPTIONS, "protected": {"age": rule}}
        table = CsvTable(path=write(tmp_path / "t.csv", GOOD), **options).load()
        assert table.attributes["age"].tolist() == expected
    header = "age,job,sex,risk"
    german = [row.replace(",", ";") for row in (header, *GOOD)] + ["2,5;cook;f;1"]
    (tmp_path / "g.csv").write_text("\ufeff" + "\n".join(german), encoding="utf-8")
    options = {**OPTIONS, "numeric": ["age"], "delimiter": ";", "decimal": ",", "protected": {"sex": "m"}}
    table = CsvTable(path=str(tmp_path / "g.csv"), **options).load()
    assert table.features[:, table.names.index("age")].tolist()[-1] == 2.5
    (tmp_path / "l.csv").write_bytes("\n".join([header, *GOOD, "30,köchin,f,1"]).encode("latin-1"))
    with pytest.raises(InputError, match="set encoding: latin-1"):
        CsvTable(path=str(tmp_path / "l.csv"), **OPTIONS).load()
    latin = CsvTable(path=str(tmp_path / "l.csv"), **OPTIONS, encoding="latin-1").load()
    assert "job=köchin" in latin.names


def test_rows_with_missing_values_are_dropped_by_option(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [*GOOD, "30,?,f,1"])
    assert len(CsvTable(path=path, **OPTIONS, missing="drop").load().y) == 4
    with pytest.raises(ConfigError):
        CsvTable(path=path, **OPTIONS, missing="guess")


def test_labels_and_groups_are_checked() -> None:
    with pytest.raises(InputError, match=r"found \[1.0, 2.0\]"):
        check_labels(np.array([1, 2]), "the label")
    with pytest.raises(InputError, match="must be 0 or 1"):
        check_groups(np.array([0, 2]), "sex")
    features = np.array([[np.nan], [1.0]])
    with pytest.raises(InputError, match="missing values: f"):
        Table("t", features, ["f"], np.array([0, 1]), {"a": np.array([0, 1])})
    y, a = torch.tensor([0, 1] * 40), torch.tensor([0] * 70 + [1] * 10)
    assert small_cells(y, a) == ["a=1, y=0: 5 rows", "a=1, y=1: 5 rows"]


def test_an_unknown_attribute_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="Known: a"):
        open_source({"name": "synthetic"}, "data", "race")
