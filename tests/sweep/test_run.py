"""Sweeps run: trials in processes of their own, recorded, resumed, summarized."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from sevenfold.config import ConfigError
from sevenfold.records import append_record, read_folder
from sevenfold.sweep.run import expand, run_sweep

ROOT = Path(__file__).resolve().parents[2]

# A program with the run folder contract of train.py and none of its start-up time.
PROGRAM = """
import json, pathlib, sys
options = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:] if "=" in word)
folder = pathlib.Path(options["output_dir"], options["name"], "version_0")
folder.mkdir(parents=True)
value = (float(options["x"]) - 2) ** 2
if options["x"] == options.get("fail"):
    sys.exit(3)
facts = {"name": "t", "verb": "fit", "seed": 0, "status": "finished", "seconds": 0, "reference": {}}
(folder / "results.json").write_text(json.dumps({**facts, "metrics": {"loss": value}}))
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
    assert not (tmp_path / "sweep_s").exists()
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
    assert "failed: metric 'los' was not reported; known: loss" in capsys.readouterr().out


def test_one_warm_process_serves_the_trials_of_a_slot(tmp_path: Path, program: Path) -> None:
    program.write_text(PROGRAM + "print('process', __import__('os').getpid())\n")
    assert run_sweep(sweep(tmp_path), [f"output_dir={tmp_path}"], program) == 0
    logs = [path.read_text() for path in sorted((tmp_path / "sweep_s").glob("*.log"))]
    assert len(logs) == 4 and len(set(logs)) == 1 and logs[0].startswith("process ")


def test_a_command_of_another_program_runs_in_a_process_of_its_own(tmp_path: Path, program: Path) -> None:
    other = program.with_name("other.py")
    other.write_text(PROGRAM + "print('process', __import__('os').getpid())\n")
    path = sweep(tmp_path, command=["${interpreter}", str(other), "${args_no_hyphens}"])
    assert run_sweep(path, [f"output_dir={tmp_path}"], program) == 0
    assert len({log.read_text() for log in (tmp_path / "sweep_s").glob("*.log")}) == 4


FAILURES = """
import os, signal, sys
x = [word for word in sys.argv if word.startswith("--x=")][0][4:]
if x == "0":
    print("error: model.x: out of range", file=sys.stderr)
    sys.exit(2)
if x == "1":
    raise ValueError("boom")
if x == "2":
    os.kill(os.getpid(), signal.SIGKILL)
if x == "3":
    os.environ["LEFT"] = "behind"
    os.chdir("/")
sys.exit(0 if "LEFT" not in os.environ and os.getcwd() != "/" else 7)
"""


def test_the_table_says_why_trials_failed_and_a_dead_worker_is_replaced(
    tmp_path: Path, program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program.write_text(FAILURES)
    path = sweep(tmp_path, parameters={"x": {"values": [0, 1, 2, 3, 4]}})
    assert run_sweep(path, [f"output_dir={tmp_path}"], program) == 1
    table = capsys.readouterr().out
    for reason in ("model.x: out of range", "ValueError: boom", "ended by signal 9", "exit status 7"):
        assert f"failed: {reason}" in table, table
    assert "failed: left no results.json" in table, "a trial finds the environment and folder of the first"


CURVES = """
import json, pathlib, sys, time
options = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:] if "=" in word)
folder = pathlib.Path(options["output_dir"], options["name"], "version_0")
folder.mkdir(parents=True)
x = float(options["x"])
with open(folder / "metrics.csv", "w") as file:
    file.write("step,loss\\n" + "".join(f"{step},{x}\\n" for step in range(4)))
if x > 2:
    time.sleep(600)
facts = {"name": "t", "verb": "fit", "seed": 0, "status": "finished", "seconds": 0, "reference": {}}
(folder / "results.json").write_text(json.dumps({**facts, "metrics": {"loss": x}}))
"""


@pytest.mark.parametrize("own", [False, True], ids=["warm", "own process"])
def test_hyperband_stops_a_trial_that_is_worse_than_most(
    tmp_path: Path, program: Path, capsys: pytest.CaptureFixture[str], own: bool
) -> None:
    program.write_text(CURVES)
    stop = {"type": "hyperband", "min_iter": 1, "eta": 2}
    content: dict[str, Any] = {"parameters": {"x": {"values": [1, 1, 2, 9, 2]}}, "early_terminate": stop}
    if own:
        content["command"] = ["env", "${interpreter}", "${program}", "${args}"]
    assert run_sweep(sweep(tmp_path, **content), [f"output_dir={tmp_path}"], program) == 0
    found = {trial["number"]: (trial["status"], trial["value"]) for trial in trials(tmp_path)}
    assert found[3] == ("stopped", 9.0) and found[4][0] == "finished"
    assert "stopped" in capsys.readouterr().out


def test_metrics_with_slashes_in_their_names_are_optimized(tmp_path: Path, program: Path) -> None:
    program.write_text(PROGRAM.replace('"loss"', '"closed_form/val_regret/mean"'))
    path = sweep(tmp_path, metric={"name": "closed_form/val_regret/mean", "goal": "minimize"})
    assert run_sweep(path, [f"output_dir={tmp_path}"], program) == 0
    assert [trial["value"] for trial in trials(tmp_path)] == [4, 1, 0, 1]


@pytest.mark.slow
def test_trials_of_a_warm_process_equal_those_of_processes_of_their_own(
    tmp_path: Path, toy_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # datamodules are a folder of the tests as well
    parameters = {"model.optim.lr": {"values": [0.01, 0.05, 0.1]}, "model.kind": {"value": "noisy"}}
    program = ROOT / "tests/toy_train.py"
    start = {"warm": ["${interpreter}", "${program}"], "own": ["env", "${interpreter}", "${program}"]}
    values = {}
    for kind, words in start.items():
        command = [*words, "--config", str(toy_config), "${args_no_hyphens}"]
        path = sweep(tmp_path, parameters=parameters, command=command, metric={"name": "test/loss"})
        where = f"output_dir={tmp_path / kind}"
        assert run_sweep(path, [where], program) == 0
        records = read_folder(tmp_path / kind / "sweep_s")
        values[kind] = {record["number"]: record["value"] for record in records}
    assert values["warm"] == values["own"] and len(set(values["own"].values())) == 3


@pytest.mark.parametrize("content", ["{", "[]", '{"metrics": 3}', '{"metrics": {"loss": null}}', ""])
def test_damaged_results_fail_their_trial_alone(tmp_path: Path, program: Path, content: str) -> None:
    program.write_text(PROGRAM + f"(folder / 'results.json').write_text({content!r})\n")
    assert run_sweep(sweep(tmp_path), [f"output_dir={tmp_path}"], program, count=1) == 1
    assert trials(tmp_path)[0]["status"] == "failed" and trials(tmp_path)[0]["problem"]


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
    with pytest.raises(ConfigError, match=r"\$\{args_json\}. is not supported"):
        expand(["${args_json}"], {}, Path("p"))


def test_record_files_are_plain_lines(tmp_path: Path) -> None:
    append_record(tmp_path / "trials.jsonl", {"key": "a", "number": 0})
    assert read_folder(tmp_path)[0]["number"] == 0
