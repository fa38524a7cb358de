"""One's own table by command line: a debiased file, decisions, an audit; what does not fit is refused."""

import csv
import html
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sevenfold.errors import InputError
from sevenfold.fairness.artefact import load_debiased
from sevenfold.fairness.data.csv_file import CsvFile
from sevenfold.fairness.data.csv_table import CsvTable
from sevenfold.fairness.data.encoder import Encoder
from sevenfold.fairness.data.table import split_table
from sevenfold.main import main

ROOT = Path(__file__).parents[2]
HEADER = ["id", "age", "sex", "housing", "purpose", "duration", "amount", "risk"]
SHORT = ["study.seeds=[1]", "study.base.training.max_epochs=8", "study.base.depth=1", "study.min_count=40",
         "--only", "study.methods=base,bias_score,rank_one"]  # fmt: skip


def rows(n: int, seed: int) -> list[list[str]]:
    stream = np.random.default_rng(seed)
    people = []
    for i in range(n):
        male = stream.random() < 0.5
        duration, amount = stream.normal(20 - 6 * male, 5), stream.normal(3, 1)
        good = amount - 0.1 * duration + stream.normal() + male > 1
        housing = stream.choice(["own", "rent", "free=yes"], p=[0.5, 0.45, 0.05])
        purpose = stream.choice(["car", "study", "tv", "roof"], p=[0.5, 0.44, 0.03, 0.03])
        people.append([f"p{i}", str(int(stream.integers(18, 70))), "male" if male else "female", housing,
                       purpose, f"{duration:.3f}", f"{amount:.3f}", "1" if good else "2"])  # fmt: skip
    return people


def write(
    path: Path, people: list[list[str]], header: list[str] = HEADER, columns: list[str] = HEADER
) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows([[row[header.index(name)] for name in columns] for row in people])
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of the recipe on a table of one's own."""
    folder = tmp_path_factory.mktemp("own")
    people = write(folder / "people.csv", rows(1500, 0))
    words = ["--config", str(ROOT / "configs/fairness/own.yaml"), f"study.source.path={people}",
             f"output_dir={folder}", "trainer.accelerator=cpu", *SHORT]  # fmt: skip
    assert main(words) == 0
    return folder / "own/version_0"


def test_check_26_a_table_becomes_a_file_that_decides_and_is_audited(run: Path, tmp_path: Path) -> None:
    (file,) = (run / "debiased").glob("*.pt")
    card = json.loads((run / "debiased/card.json").read_text())[file.name]
    assert card["purpose"] == "not stated" and card["groups"]["names"] == ["sex=female", "sex=male"]
    assert "sex" not in [feature["column"] for feature in card["table"]["columns"]]
    assert any(len(feature["levels"] or []) == 2 for feature in card["table"]["columns"])  # rare ones merged
    report = (run / "report.html").read_text()
    assert file.name in report and "validation rows recommend" in report
    # new people, without label and attribute, their columns in another order, in a fresh process
    new = rows(300, 1)
    columns = ["amount", "id", "purpose", "age", "duration", "housing"]
    write(tmp_path / "new.csv", new, columns=columns)
    command = [sys.executable, str(ROOT / "train.py"), "predict", "--ckpt", str(file), "study.ids=[id]",
               f"data.source.path={tmp_path / 'new.csv'}", f"output_dir={tmp_path}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (written,) = tmp_path.rglob("decisions.csv")
    with open(written, encoding="utf-8") as handle:
        table = list(csv.DictReader(handle))
    debiased = load_debiased(file)
    x = debiased.encoder.read(CsvFile(str(write(tmp_path / "same.csv", new)))).x
    assert [row["id"] for row in table] == [row[0] for row in new]
    decided = np.array([int(row["decision"]) for row in table])
    assert (decided == debiased.predict(x)).all() and 0.05 < decided.mean() < 0.95
    assert [float(row["distance"]) for row in table] == debiased.decision_function(x).tolist()
    assert [float(row["probability"]) for row in table] == debiased.predict_proba(x)[:, 1].tolist()
    # labelled people: the page says what the audit says
    labelled = write(tmp_path / "labelled.csv", new)
    assert main(["test", "--ckpt", str(file), f"data.source.path={labelled}", f"output_dir={tmp_path}"]) == 0
    (page,) = tmp_path.glob(f"audit_{file.stem}/version_0/report.html")
    audit = debiased.audit(x, *zip(*[(row[7], row[2]) for row in new], strict=True))
    text = html.unescape(page.read_text())
    for v in audit.verdicts:
        assert f"[{v['low']:+.3f}, {v['high']:+.3f}]" in text and f"{v['criterion']}: {v['verdict']}" in text
    assert all(row["group"] in text for row in audit.table)


def test_rows_of_a_file_are_the_rows_of_the_fit_to_the_last_bit(run: Path) -> None:
    (file,) = (run / "debiased").glob("*.pt")
    people = run.parents[1] / "people.csv"
    options = {"label": "risk", "favorable": "1", "protected": {"sex": "male", "age": ">= 25"}}
    columns = {"numeric": ["duration", "amount"], "categorical": ["housing", "purpose"]}
    table = CsvTable(path=str(people), **options, **columns).load()
    for drop in (True, False):
        split = split_table(table, "sex", 1, drop_protected=drop, min_count=40)
        assert table.text is not None
        encoder = Encoder.of(table.text, split)
        x = encoder.read(CsvFile(str(people))).x
        assert {tuple(row) for row in split.train.x.tolist()} <= {tuple(row) for row in x.tolist()}
        assert x.shape[1] == split.train.x.shape[1] and ("sex" in encoder.needed) == (not drop)
    stored = load_debiased(file).encoder
    assert torch.equal(stored.read(CsvFile(str(people))).x, Encoder.of(
        table.text, split_table(table, "sex", 1, drop_protected=True, min_count=40)
    ).read(CsvFile(str(people))).x)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": ["amount", "purpose", "duration", "age"]}, "no column 'housing'"),
        ({"value": ("housing", "tent")}, "line 4: column 'housing' has 'tent', which the fit did not see"),
        ({"value": ("amount", "much")}, "column 'amount' is not numeric"),
        ({"value": ("amount", "")}, "line 4: column 'amount' is missing"),
        ({"value": ("amount", "inf")}, "line 4: column 'amount' is infinite"),
        ({"value": ("amount", "2,5")}, "numbers with a comma"),
        ({"n": 0}, "no column"),
    ],
)
def test_check_26_files_that_do_not_fit_are_refused_by_name(
    run: Path, tmp_path: Path, change: dict, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = (run / "debiased").glob("*.pt")
    people = rows(change.get("n", 20), 2)
    if "value" in change:
        people[2][HEADER.index(change["value"][0])] = change["value"][1]
    path = write(tmp_path / "new.csv", people, columns=change.get("columns", HEADER))
    words = ["predict", "--ckpt", str(file), f"data.source.path={path}", f"output_dir={tmp_path / 'runs'}"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    if change.get("value", ("", ""))[1] == "tent":
        assert main([*words, "study.unseen=zero"]) == 0
        assert "housing: 1 rows have a level that the fit did not see" in capsys.readouterr().out


def test_a_debiased_file_is_for_predict_and_test(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = (run / "debiased").glob("*.pt")
    for words, message in (
        (["--ckpt", str(file)], "say predict or test"),
        (["predict", "--ckpt", str(file)], "source.path"),
        (["test", "--ckpt", str(file), "data.source.paht=x"], "paht"),
        (["predict", "--config", "fairness/demo", "--ckpt", str(file)], "without --config"),
    ):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    with pytest.raises(InputError, match="does not exist"):
        load_debiased("none.pt")
