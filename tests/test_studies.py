"""The contract of every study: records do not depend on how, where or in how many goes they are made."""

import json
import pickle
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from studies import FEWER, RECIPES, command, environment, node, seed, settings

from sevenfold.config import build
from sevenfold.executors.here import Here
from sevenfold.records import RecordFiles, read_folder
from sevenfold.report.__main__ import main as report_main
from sevenfold.report.run import write_report
from sevenfold.studies import STUDIES
from sevenfold.study import Piece, Records, Study
from train import main

NAMES = sorted(STUDIES)
TOTAL = 600  # seconds after which a process that should have ended is given up


def make(name: str) -> Study[Any]:
    return build(STUDIES, node(name), "study")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Study[Any], Records]]:
    """A study and all its records, computed once without Lightning."""
    cache: dict[str, tuple[Study[Any], Records]] = {}

    def run(name: str) -> tuple[Study[Any], Records]:
        if name not in cache:
            study = make(name)
            cache[name] = study, study.run_all(tmp_path_factory.mktemp(name), seed=seed(name))
        return cache[name]

    return run


def plain(records: Sequence[dict[str, Any]], study: Study[Any]) -> list[dict[str, Any]]:
    """Return records without the fields that depend on the machine."""
    return [{k: v for k, v in record.items() if k not in study.timing} for record in records]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    return tmp_path


def test_every_study_has_a_case() -> None:
    assert set(RECIPES) == set(STUDIES) and set(FEWER) <= set(STUDIES)


@pytest.mark.parametrize("name", NAMES)
def test_pieces_name_all_records_and_are_light(name: str, whole: Any) -> None:
    study, records = whole(name)
    pieces = study.pieces()
    keys = [key for piece in pieces for key in piece.keys]
    assert sorted(keys) == [record["key"] for record in records] and len(set(keys)) == len(keys)
    assert {record["group"] for record in records} and all(isinstance(piece, Piece) for piece in pieces)
    assert all(len(pickle.dumps(piece)) < 4000 for piece in pieces)
    assert make(name).pieces() == pieces
    json.dumps(records, allow_nan=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_report_is_drawn_from_records_and_artefacts_alone(
    name: str, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, records = whole(name)
    report = study.report(records)
    assert report.headline and len(report.headline[0]) <= 8 and report.text and report.scalars
    assert all(len(row) == len(report.headline[0]) for row in report.headline)
    assert report.pictures and all(path.is_file() for path in report.pictures)
    write_report(report, records.folder)
    assert (records.folder / "report.html").stat().st_size > 5000

    other = make(name)
    for opened in ("check", "run"):
        monkeypatch.setattr(type(other), opened, lambda *_: pytest.fail("the report opened the data"))
    again = other.report(RecordFiles(records.folder, timing=study.timing).read(), records.folder)
    assert str(again) == str(report) and dict(again.scalars) == dict(report.scalars)


@pytest.mark.parametrize("name", NAMES)
def test_a_report_of_some_records_or_none_is_possible(name: str, whole: Any) -> None:
    study, records = whole(name)
    assert study.report(records[:1], records.folder).headline or name == "digits_build"
    str(study.report([], records.folder))


class Cut(Here):
    """Fails after some pieces, as a machine does."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def submit(self, piece: Piece) -> list[dict[str, Any]]:
        if not self.after:
            raise OSError("cut")
        self.after -= 1
        return super().submit(piece)


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_study_goes_on_to_the_same_records(name: str, whole: Any, tmp_path: Path) -> None:
    study, records = whole(name)
    first = make(name)
    after = len(first.pieces()) // 2
    with pytest.raises(OSError, match="cut"):
        first.run_all(tmp_path, seed=seed(name), executor=Cut(after))
    assert len(RecordFiles(tmp_path).keys()) == sum(len(piece.keys) for piece in study.pieces()[:after])
    assert plain(make(name).run_all(tmp_path, seed=seed(name)), study) == plain(records, study)


@pytest.mark.parametrize("name", NAMES)
def test_a_study_is_equal_after_pickling_with_its_data(name: str, whole: Any, tmp_path: Path) -> None:
    study, records = whole(name)
    study.check()
    other = pickle.loads(pickle.dumps(study))
    assert other.pieces() == study.pieces()
    assert str(other.report(records)) == str(study.report(records))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", ["study.nonsense=1", "study.name=nonsense", "study=3", "study.seed=x"])
def test_a_wrong_option_is_one_line_and_writes_nothing(
    name: str, wrong: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*settings(name), wrong]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: study") and error.count("\n") == 1 and not list(here.iterdir())


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("nas_search", "study.algorithms.random.nonsense=1"),
        ("nas_search", "study.algorithms.evolution.population=-3"),
        ("nas_search", "study.objective.split=nonsense"),
        ("lce_study", "study.extrapolators.svr.preset=nonsense"),
        ("lce_search", "study.filter.top=0"),
        ("debias", "study.methods.random.nonsense=1"),
        ("debias", "study.base.training.nonsense=1"),
        ("samples", "study.methods.pullback.solver.nonsense=1"),
        ("samples", "study.representations.siren.nonsense=1"),
        ("volumes", "study.arms.object.method.solver.name=nonsense"),
    ],
)
def test_a_wrong_option_at_depth_names_its_key(
    name: str, wrong: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*settings(name), wrong]) == 2
    error = capsys.readouterr().err
    key = wrong.partition("=")[0].rpartition(".")[0]
    assert error.startswith(f"error: {key}") and error.count("\n") == 1 and not list(here.iterdir())


def test_a_study_asked_for_a_device_it_cannot_use_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*settings("nas_landscape"), "trainer.accelerator=gpu"]) == 2
    assert "trainer.accelerator: 'nas_landscape' runs on the CPU" in capsys.readouterr().err
    assert not list(here.iterdir())


def test_a_study_is_no_model_and_has_no_verb(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["model.name=flow"], ["verb=fit"]):
        assert main([*settings("nas_landscape"), *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["test", *settings("nas_landscape")]) == 2
    assert not list(here.iterdir())


def test_a_configuration_from_before_studies_says_which_recipe_replaces_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sevenfold.studies import FORMER

    for model, (study, recipe) in FORMER.items():
        (here / "old.yaml").write_text(f"model: {{name: {model}}}\ndata: {{name: nas_trials}}\n")
        assert main(["--config", "old.yaml", "verb=predict", "--untrained"]) == 2
        error = capsys.readouterr().err
        assert f"the study '{study}'" in error and f"configs/{recipe}.yaml" in error
        assert study in STUDIES and error.count("\n") == 1 and not (here / "runs").exists()


def test_check_opens_everything_and_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *settings("nas_search")]) == 0 and "ok" in capsys.readouterr().out
    assert main(["check", *settings("nas_search"), "study.objective.split=train9"]) == 2
    assert not list(here.iterdir())


def read(folder: Path) -> list[dict[str, Any]]:
    """Return a finished run's records and see that it is finished."""
    assert json.loads((folder / "results.json").read_text())["status"] == "finished"
    assert [path.name for path in (folder / "records").iterdir()] == ["records.jsonl"]
    return read_folder(folder / "records")


@pytest.mark.parametrize("name", ["nas_search", "debias"])
def test_train_py_gives_the_records_and_report_of_python(name: str, here: Path, whole: Any) -> None:
    study, records = whole(name)
    assert main([*settings(name), "name=a"]) == 0
    folder = here / "runs/a/version_0"
    assert read(folder) == plain(records, study)
    metrics = json.loads((folder / "results.json").read_text())["metrics"]
    scalars = {k: v for k, v in study.report(records).scalars.items() if not k.startswith("reference/")}
    assert set(metrics) == set(scalars)
    page = folder / "report.html"
    page.unlink()
    assert report_main([str(folder)]) == 0 and page.is_file()


def test_shards_fill_one_folder_and_the_last_reports(here: Path, whole: Any) -> None:
    study, records = whole("nas_search")
    for number in (2, 1, 3):
        assert main([*settings("nas_search"), "name=a", "--shard", f"{number}/3"]) == 0
        done = [json.loads(p.read_text())["status"] for p in here.glob("runs/a/version_0/results.json")]
        assert done == (["finished"] if number == 3 else [])
    assert read(here / "runs/a/version_0") == plain(records, study)
    assert [path.name for path in (here / "runs/a").iterdir() if path.is_dir()] == ["version_0"]


def test_worker_processes_give_the_same_records(here: Path, whole: Any) -> None:
    study, records = whole("nas_search")
    two = ["name=a", "executor={name: processes, workers: 2}"]
    subprocess.run(
        command(*settings("nas_search"), *two), cwd=here, env=environment(), check=True, timeout=TOTAL
    )
    assert read(here / "runs/a/version_0") == plain(records, study)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "how",
    [
        ["trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu"],
        ["executor={name: processes, workers: 2}"],
        ["executor={name: ray, workers: 2}"],
    ],
    ids=["ranks", "processes", "ray"],
)
def test_two_workers_of_any_kind_give_the_records_of_one(
    name: str, how: list[str], here: Path, whole: Any
) -> None:
    if "ray" in how[0]:
        pytest.importorskip("ray", reason="Ray is not installed (extra 'scale')")
    study, records = whole(name)
    subprocess.run(
        command(*settings(name), "name=a", *how), cwd=here, env=environment(), check=True, timeout=TOTAL
    )
    assert read(here / "runs/a/version_0") == plain(records, study)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_four_shards_at_once_give_the_records_of_one_run(name: str, here: Path, whole: Any) -> None:
    study, records = whole(name)
    jobs = [
        subprocess.Popen(command(*settings(name), "name=a", "--shard", f"{i}/4"), cwd=here, env=environment())
        for i in range(1, 5)
    ]
    assert [job.wait(timeout=TOTAL) for job in jobs] == [0] * 4
    assert read(here / "runs/a/version_0") == plain(records, study)


def begun(here: Path, name: str) -> tuple[subprocess.Popen[bytes], Path]:
    """Start a run and wait for its first record."""
    job = subprocess.Popen(command(*settings(name), "name=a"), cwd=here, env=environment())
    shard, end = here / "runs/a/version_0/records/rank_0.jsonl", time.monotonic() + TOTAL
    while job.poll() is None and not shard.exists():
        assert time.monotonic() < end
        time.sleep(0.005)
    return job, here / "runs/a/version_0"


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("benchmark_description", "nas_landscape")])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_a_run_ended_by_a_signal_is_resumed_to_the_same_records(
    name: str, number: signal.Signals, here: Path, whole: Any
) -> None:
    study, records = whole(name)
    job, folder = begun(here, name)
    job.send_signal(number)
    status = job.wait(timeout=TOTAL)
    if number == signal.SIGTERM and status != 0:  # 0: it came after the last piece
        assert status == 128 + signal.SIGTERM
        assert json.loads((folder / "results.json").read_text())["status"] == "interrupted"
    again = command(*settings(name), "name=a", "--resume")
    subprocess.run(again, cwd=here, env=environment(), check=True, timeout=TOTAL)
    finished = folder if status else here / "runs/a/version_1"
    assert read(finished) == plain(records, study)


def test_records_that_depend_on_the_machine_stand_apart(here: Path) -> None:
    assert main([*settings("nas_search"), "name=a"]) == 0
    folder = here / "runs/a/version_0"
    assert not any("searcher_seconds" in record for record in read_folder(folder / "records"))
    assert all(record["searcher_seconds"] >= 0 for record in read_folder(folder / "timing"))


def test_a_study_takes_no_checkpoint(toy_study: Path, tmp_path: Path, capsys: Any) -> None:
    torch.save({"state_dict": {}, "config": {}}, tmp_path / "some.ckpt")
    assert main(["--config", str(toy_study), "--ckpt", str(tmp_path / "some.ckpt")]) == 2
    assert "a study has no weights to load" in capsys.readouterr().err
