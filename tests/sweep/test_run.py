"""Sweeps run: trials in processes of their own, recorded, resumed, summarized."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from sevenfold.config import ConfigError
from sevenfold.records import append_record, read_folder
from sevenfold.sweep.run import expand, run_sweep

# A program with the run folder contract of train.py and none of its start-up time.
PROGRAM = """
import json, pathlib, sys
options = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:] if "=" in word)
folder = pathlib.Path(options["output_dir"], options["name"], "version_0")
folder.mkdir(parents=True)
value = (float(options["x"]) - 2) ** 2
if options["x"] == options.get("fail"):
    sys.exit(3)
(folder / "results.json").write_text(json.dumps({"metrics": {"loss": value}}))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (path := tmp_path / "program.py").write_text(PROGRAM)
    return path


def sweep(tmp_path: Path, **content: Any) -> str:
    content = {
        "metric": {"name": "loss"},
        "parameters": {"x": {"values": [0, 1, 2, 3]}},
        "method": "grid",
        **content,
    }
    (path := tmp_path / "s.yaml").write_text(yaml.safe_dump(content))
    return str(path)


def trials(tmp_path: Path) -> list[dict[str, Any]]:
    return sorted(read_folder(tmp_path / "sweep_s"), key=lambda record: record["number"])


def test_a_grid_runs_in_parallel_and_prints_the_best_first(
    tmp_path: Path, program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_sweep(sweep(tmp_path), [f"output_dir={tmp_path}"], program, jobs=2) == 0
    assert [(t["parameters"]["x"], t["value"]) for t in trials(tmp_path)] == [(0, 4), (1, 1), (2, 0), (3, 1)]
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert table[0] == ["trial", "x", "loss", "status", "seconds"] and table[2][:3] == ["0002", "2", "0"]


def test_an_interrupted_sweep_goes_on_and_failures_run_again(tmp_path: Path, program: Path) -> None:
    path, where = sweep(tmp_path), f"output_dir={tmp_path}"
    assert run_sweep(path, [where, "fail=3"], program) == 1
    assert [t["status"] for t in trials(tmp_path)] == ["finished"] * 3 + ["failed"]
    seconds = [t["key"] for t in trials(tmp_path)][:3]
    assert run_sweep(path, [where], program) == 1, "the folder of the failed trial is still in its way"
    (tmp_path / "sweep_s/trial_0003/version_0").rmdir()
    assert run_sweep(path, [where], program) == 0
    assert [t["key"] for t in trials(tmp_path) if t["status"] == "finished"][:3] == seconds


def test_random_and_bayes_need_a_bound_and_find_the_minimum(tmp_path: Path, program: Path) -> None:
    parameters = {"x": {"min": -5.0, "max": 5.0}}
    where = f"output_dir={tmp_path}"
    with pytest.raises(ConfigError, match="run_cap: method random never ends"):
        run_sweep(sweep(tmp_path, method="random", parameters=parameters), [where], program)
    (tmp_path / "sweep_s/sweep.yaml").unlink()
    bayes = sweep(tmp_path, method="bayes", parameters=parameters, run_cap=25)
    assert run_sweep(bayes, [where], program, jobs=2) == 0
    values = [t["value"] for t in trials(tmp_path)]
    assert len(values) == 25 and min(values[10:]) < 0.5


def test_bayes_is_told_what_earlier_calls_found(tmp_path: Path, program: Path) -> None:
    path = sweep(tmp_path, method="bayes", parameters={"x": {"min": -5.0, "max": 5.0}})
    assert run_sweep(path, [f"output_dir={tmp_path}"], program, count=3) == 0
    first = trials(tmp_path)
    assert run_sweep(path, [f"output_dir={tmp_path}"], program, count=5) == 0
    assert trials(tmp_path)[:3] == first and len(trials(tmp_path)) == 5


def test_another_sweep_of_the_same_name_is_not_mixed_in(tmp_path: Path, program: Path) -> None:
    run_sweep(sweep(tmp_path), [f"output_dir={tmp_path}"], program)
    with pytest.raises(ConfigError, match="another version of this sweep"):
        run_sweep(sweep(tmp_path, parameters={"x": {"values": [9]}}), [f"output_dir={tmp_path}"], program)


def test_a_metric_nobody_reports_is_said(
    tmp_path: Path, program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_sweep(sweep(tmp_path, metric={"name": "los"}), [f"output_dir={tmp_path}"], program, count=1)
    assert "metric 'los' was not reported; known: loss" in capsys.readouterr().out


def test_macros_expand_as_the_agent_does() -> None:
    parameters = {"a.b": [0.8, 0.9], "flag": True, "none": None, "lr": 1e-05}
    words = expand(["${env}", "${interpreter}", "${program}", "--x", "${args}"], parameters, Path("train.py"))
    assert words == [
        sys.executable,
        "train.py",
        "--x",
        "--a.b=[0.8, 0.9]",
        "--flag=True",
        "--none=None",
        "--lr=1e-05",
    ]
    assert expand(["${args_no_hyphens}"], {"a": 1}, Path("p")) == ["a=1"]
    with pytest.raises(ConfigError, match=r"\$\{args_json\} is not supported"):
        expand(["${args_json}"], {}, Path("p"))


def test_record_files_are_plain_lines(tmp_path: Path) -> None:
    append_record(tmp_path / "trials.jsonl", {"key": "a", "number": 0})
    assert read_folder(tmp_path)[0]["number"] == 0
