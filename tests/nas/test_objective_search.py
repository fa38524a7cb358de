"""Studies of objectives of one's own: records from journals, interruptions, kills of the whole command."""

import json
import os
import random
import signal
import subprocess
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from studies import ROOT, command, environment

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.nas import ObjectiveSearchStudy, open_problem
from sevenfold.nas.studies.objective import Further
from sevenfold.seeding import stream_seed
from sevenfold.study import Context
from train import main

SPACE = {"name": "typed", "parameters": {"x": {"float": [0, 1]}, "c": {"choice": ["a", "b"]}}}
LOCAL = {"name": "local_search", "continue_at_min": True}
SEARCHES = {"local": LOCAL, "random": {"name": "random"}}
BOWL = """
    def train(config, trial):
        if trial.id == 4:
            raise ValueError("no")
        return {"error": (config["x"] - 0.7) ** 2 + (config["c"] == "a") + 1e-4 * (trial.seed % 1000)}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    (tmp_path / "work.py").write_text(textwrap.dedent(BOWL))
    return tmp_path


def study(**options: Any) -> ObjectiveSearchStudy:
    given = {"space": SPACE, "objective": "work:train", "algorithms": SEARCHES, "minimize": ["error"]}
    return ObjectiveSearchStudy(**{**given, "budget": 20, **options})


def results(folder: Path) -> list[tuple[list[int], int, float]]:
    """Return row, seed and loss of what a journal has finished, sorted; twice finished is refused."""
    lines = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    events = [event for event in lines if "id" in event]
    ends: Counter[int] = Counter()
    for event in events:
        assert event["event"] != "started" or not ends[event["id"]], "a finished training was begun again"
        ends[event["id"]] += event["event"] == "told"
    assert set(ends.values()) <= {0, 1}
    asked = {event["id"]: event for event in events if event["event"] == "asked"}
    told = {event["id"]: event["loss"] for event in events if event["event"] == "told"}
    return sorted((asked[n]["row"], asked[n]["seed"], loss) for n, loss in told.items())


def test_records_say_what_the_journal_of_the_same_problem_says(here: Path) -> None:
    searches = study(seeds=Further(max=3, last=0.25), retries=0)
    records = {record["key"]: record for record in searches.run_all(here / "run", seed=3)}
    assert set(records) == {"local/00000", "random/00000"}
    options = {"minimize": ["error"], "seeds": {"max": 3, "last": 0.25}, "retries": 0, "budget": 20}
    seed = stream_seed(3, "objective search", 0)
    for label, node in SEARCHES.items():
        with open_problem(here / label, space=SPACE, algorithm=node, seed=seed, **options) as problem:
            problem.run("work:train")
            config, loss = problem.best()
        record = records[f"{label}/00000"]
        assert results(here / "run/searches" / label / "00000") == results(here / label)
        assert (record["winner"], record["val_loss"]) == (config, loss)
        assert (record["evaluations"], record["architectures"], record["failed"]) == (20, 15, 1)
        assert record["val_curve"] == sorted(record["val_curve"], reverse=True)
        # The best of single trainings is luckier than the mean of the winner's three.
        assert record["val_curve"][-1] == min(result[2] for result in results(here / label)) < loss
    report = searches.report(list(records.values()), here / "run")
    assert report.headline[0][2] == "error (95 %)" and "lowest mean error" in report.text[0]


def test_a_study_that_is_stopped_anywhere_continues_to_the_same_records(here: Path) -> None:
    whole = study().run_all(here / "whole")
    stopped = study()
    for piece in stopped.pieces():
        for calls in (2, 5, 9, 10**6):
            left = iter(range(calls))
            stopping = Context(here / "cut", stopping=lambda left=left: next(left, None) is None)
            records = stopped.run(piece, stopping)
            assert bool(records) == (calls == 10**6)
        plain = {field: value for field, value in records[0].items() if field not in stopped.timing}
        assert [plain] == [
            {f: v for f, v in record.items() if f not in stopped.timing}
            for record in whole
            if record["key"] == piece.keys[0]
        ]


def test_what_cannot_run_is_refused_before_anything_is_written(here: Path) -> None:
    for wrong, options in {
        "objective: absent:train": {"objective": "absent:train"},
        "has no function 'fit'": {"objective": "work:fit"},
        "needs worker processes": {"trial_seconds": 3.0},
        "space.parameters": {"space": {"name": "typed", "parameters": {"x": {"float": [1, 0]}}}},
        "algorithms.a": {"algorithms": {"a": {"name": "evolution", "population": -1}}},
    }.items():
        with pytest.raises(ConfigError, match=wrong):
            study(**options).check()
    assert [path.name for path in here.iterdir() if path.name != "__pycache__"] == ["work.py"]


def test_a_search_without_a_success_says_why(here: Path) -> None:
    (here / "work.py").write_text("def train(config, trial):\n    raise ValueError('out of memory')\n")
    with pytest.raises(InputError, match="all 5 trainings failed, the last one: ValueError: out of memory"):
        study(budget=5, retries=0).run_all(here / "run")


def test_another_file_goes_on_only_if_the_study_says_so(here: Path) -> None:
    study(budget=5).run_all(here / "run")
    (here / "work.py").write_text(textwrap.dedent(BOWL).replace("0.7", "0.3"))
    with pytest.raises(InputError, match="changed since trials were recorded"):
        study(budget=8).run(study().pieces()[0], Context(here / "run"))
    (record,) = study(budget=8, changed=True).run(study().pieces()[0], Context(here / "run"))
    assert record["evaluations"] == 8


def test_no_objective_is_named_by_a_checkpoint(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "work.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    recipe = yaml.safe_load((ROOT / "configs/nas/own_digits.yaml").read_text())
    del recipe["base"]
    recipe["study"] |= {"objective": "work:train", "workers": {"name": "here"}}
    torch.save({"config": {**recipe, "name": "a"}, "state_dict": {}}, here / "a.ckpt")
    assert main(["--ckpt", "a.ckpt"]) == 2
    assert "holds a study" in capsys.readouterr().err and not (here / "ran").exists()


def settings(workers: str) -> list[str]:
    return [
        "--config", str(ROOT / "configs/nas/own_digits.yaml"), "callbacks.progress=null", "logger.csv=null",
        "study.objective=work:train", f"study.workers={workers}", "study.minimize=[error]", "study.budget=60",
    ]  # fmt: skip


CELLS = """
    import time

    def train(config, trial):
        time.sleep(0.02 + trial.seed % 10 / 200)
        return {"error": sum(config["cell"]) + config["width"] * config["lr"] + 1e-4 * (trial.seed % 1000)}
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["{name: here}", "{name: processes, workers: 4}"])
@pytest.mark.parametrize("kills", [20])
def test_kills_of_the_whole_command_lose_and_repeat_nothing(here: Path, workers: str, kills: int) -> None:
    (here / "work.py").write_text(textwrap.dedent(CELLS))
    folder, moments = here / "runs/killed/version_0/searches/local_search/00000", random.Random(os.getpid())

    def lines() -> int:
        path = folder / "trials.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    for kill in range(kills):
        before = lines()
        process = subprocess.Popen(command(*settings(workers), "name=killed"), cwd=here, env=environment())
        # Every second kill waits until the search writes, the others come while the program starts too.
        while kill % 2 and process.poll() is None and lines() <= before:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.15 if kill % 2 else 3.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    for name in ("killed", "whole"):
        subprocess.run(command(*settings(workers), f"name={name}"), cwd=here, env=environment(), check=True)
    assert [path.name for path in (here / "runs/killed").iterdir() if path.is_dir()] == ["version_0"]
    whole = here / "runs/whole/version_0"
    assert results(folder) == results(whole / "searches/local_search/00000")
    assert len(results(folder)) == 60
    records = [
        (path / "records/records.jsonl").read_text() for path in (here / "runs/killed/version_0", whole)
    ]
    assert records[0] == records[1]
