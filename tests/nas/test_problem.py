"""Problems: objectives of one's own, the journal, and going on after a kill."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.nas import open_problem
from sevenfold.nas.journal import Journal
from sevenfold.nas.objectives import load_objective, locate_objective

SPACE = {
    "name": "typed",
    "parameters": {
        "x": {"float": [0, 1]},
        "c": {"choice": ["a", "b"]},
        "y": {"float": [0, 1], "when": {"c": ["a"]}},
    },
}
LOCAL = {"name": "local_search", "continue_at_min": True}
MIXED = {"name": "bananas", "preset": "mixed"}


def bowl(config, trial):
    return (config["x"] - 0.7) ** 2 + (config["y"] ** 2 if "y" in config else 0.2)


def results(folder):
    """Return rows and losses of finished trials as the journal has them, sorted."""
    rows, ended = {}, []
    for line in (folder / "trials.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "asked":
            rows[event["id"]] = event["row"]
        elif event["event"] == "told":
            ended.append((rows[event["id"]], event["loss"]))
    return sorted(ended)


@pytest.mark.parametrize("search", [LOCAL, MIXED, {"name": "evolution"}], ids=lambda node: node["name"])
def test_a_mixed_space_is_searched_in_pieces_as_in_one(tmp_path, search):
    with open_problem(tmp_path / "whole", space=SPACE, algorithm=search, budget=40) as problem:
        problem.run(bowl)
        assert problem.best()[1] < 0.1
    for budget in (1, 7, 23, 40):  # later calls need the budget alone
        first = {"space": SPACE, "algorithm": search} if budget == 1 else {}
        with open_problem(tmp_path / "pieces", budget=budget, **first) as problem:
            problem.run(bowl)
    assert results(tmp_path / "pieces") == results(tmp_path / "whole")
    assert len(results(tmp_path / "whole")) == 40


def test_trials_in_flight_are_given_out_again_first(tmp_path):
    with open_problem(tmp_path, space=SPACE, algorithm=LOCAL, budget=12) as problem:
        out = [problem.ask() for _ in range(4)]
        problem.tell(out[1], 0.5)
    with open_problem(tmp_path) as problem:
        again = [problem.ask() for _ in range(3)]
        assert again == [out[0], out[2], out[3]]
        assert len(problem.algorithm.pending) == 3
        for trial in again:
            problem.tell(trial, 0.25)
        assert problem.ask().id == 4
        assert not len(set(map(tuple, problem.algorithm.pending.tolist())) & {t.row for t in again})


def test_seeds_belong_to_trials_and_not_to_the_order(tmp_path):
    with open_problem(tmp_path / "a", space=SPACE, algorithm=LOCAL) as a:
        one = [a.ask() for _ in range(5)]
    with open_problem(tmp_path / "b", space=SPACE, algorithm=MIXED) as b:
        two = [b.ask() for _ in range(5)]
    assert [t.seed for t in one] == [t.seed for t in two] and len({t.seed for t in one}) == 5


def wrong(kind):
    def objective(config, trial):
        if trial.id % 5 == 3:
            if kind == "raises":
                raise ValueError("two\nlines")
            return {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "text": "good", "name": {"acc": 1.0}}[kind]
        return bowl(config, trial)

    return objective


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("raises", "ValueError: two lines"),
        ("nan", "the objective returned nan"),
        ("inf", "the objective returned inf"),
        ("-inf", "trial 3: 'loss' must be a number above -inf, got -inf"),
        ("text", "trial 3: 'loss' must be a number above -inf, got 'good'"),
        ("name", "trial 3: 'loss' is missing, got acc"),
    ],
)
def test_failures_are_records_with_a_reason_and_the_search_continues(tmp_path, kind, why):
    with open_problem(tmp_path, space=SPACE, algorithm=LOCAL, budget=20, retries=1) as problem:
        problem.run(wrong(kind))
        events = [event for event in problem.journal.events if event.get("id") == 3]
    events = [event for event in events if event["event"] != "started"]
    assert [event["event"] for event in events] == ["asked", "failed", "failed"]
    assert [event["why"] for event in events[1:]] == [why, why]
    assert [event["final"] for event in events[1:]] == [False, True]
    assert len(results(tmp_path)) == 16
    assert not any(
        "nan" in line.lower()
        for line in (tmp_path / "trials.jsonl").read_text().splitlines()
        if "told" in line
    )


def test_a_retry_that_succeeds_counts(tmp_path):
    def objective(config, trial):
        if trial.attempt == 0:
            raise RuntimeError("out of memory")
        return bowl(config, trial)

    with open_problem(tmp_path, space=SPACE, algorithm=LOCAL, budget=6) as problem:
        problem.run(objective)
    assert len(results(tmp_path)) == 6


def test_wrong_trials_and_options_are_refused(tmp_path):
    with pytest.raises(InputError, match="needs 'space'"):
        open_problem(tmp_path / "none", algorithm=LOCAL)
    with open_problem(tmp_path, space=SPACE, algorithm=LOCAL) as problem:
        problem.tell(problem.ask(), {"loss": 1.0, "ms": 3})
        with pytest.raises(InputError, match="trial 0 has ended"):
            problem.tell(0, 1.0)
        with pytest.raises(InputError, match="trial 9 was never given out"):
            problem.fail(9, "no")
        with pytest.raises(InputError, match="open in another process"):
            open_problem(tmp_path)
    with pytest.raises(InputError, match="another 'algorithm'"):
        open_problem(tmp_path, algorithm=MIXED)
    with pytest.raises(InputError, match="no option 'bugdet'"):
        open_problem(tmp_path, bugdet=3)


def test_a_line_cut_short_is_dropped_and_other_damage_is_named(tmp_path):
    path = tmp_path / "trials.jsonl"
    with Journal(path) as journal:
        for number in range(3):
            journal.append("told", id=number)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event": "to')
    with Journal(path) as journal:
        assert [event["id"] for event in journal.events] == [0, 1, 2]
    assert path.read_bytes() == whole
    path.write_bytes(whole.replace(b'"id": 1}', b'"id": 1'))
    with pytest.raises(InputError, match="line 2 is no event"):
        Journal(path)
    path.write_bytes(whole)
    Journal(path).close()  # the failed one left no lock


SCRIPT = """
    import sys, time
    from sevenfold.nas import open_problem

    def bowl(config, trial):
        time.sleep(0.01)
        return (config["x"] - 0.7) ** 2 + (config["y"] ** 2 if "y" in config else 0.2)

    with open_problem(sys.argv[1], space={space}, algorithm={search}, budget=200) as problem:
        problem.run(bowl)
"""


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_after_kills_at_any_moment_the_results_are_those_without(tmp_path, kills):
    script = tmp_path / "search.py"
    script.write_text(textwrap.dedent(SCRIPT.format(space=SPACE, search=LOCAL)))
    with open_problem(tmp_path / "whole", space=SPACE, algorithm=LOCAL, budget=200) as problem:
        problem.run(bowl)
    folder, delays = tmp_path / "killed", random.Random(0)
    journal = folder / "trials.jsonl"

    def lines():
        return journal.read_bytes().count(b"\n") if journal.exists() else 0

    for _ in range(kills):
        process = subprocess.Popen([sys.executable, script, folder])
        before = lines()
        while process.poll() is None and lines() <= before:  # it has begun to write
            time.sleep(0.001)
        time.sleep(delays.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert lines() < 600  # the kills came before the end
    subprocess.run([sys.executable, script, folder], check=True)
    assert results(folder) == results(tmp_path / "whole")


def test_an_objective_is_loaded_from_below_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "work.py").write_text("def train(config, trial):\n    return config['x']\n")
    with open_problem(tmp_path / "run", space=SPACE, algorithm=LOCAL, budget=5) as problem:
        problem.run("own.work:train")
    (tmp_path / "own" / "work.py").write_text("def train(config, trial):\n    return 1 - config['x']\n")
    with open_problem(tmp_path / "run", budget=8) as problem:
        with pytest.raises(InputError, match="changed since trials were recorded"):
            problem.run("own.work:train")
        problem.run("own.work:train", changed=True)
        hashes = [event["sha256"] for event in problem.journal.events if event["event"] == "objective"]
    assert len(set(hashes)) == 2 and len(results(tmp_path / "run")) == 8


@pytest.mark.parametrize(
    "name",
    [
        "json:dumps",
        "numpy:sum",
        "../outside:train",
        "..outside:train",
        "link:train",
        "pack:train",
        "space.x:train",
        "work",
    ],
)
def test_nothing_else_is_loaded(tmp_path, monkeypatch, name):
    root = tmp_path / "root"
    (root / "space").mkdir(parents=True)  # a namespace package without the module
    ran = tmp_path / "ran"
    effect = f"from pathlib import Path\nPath({str(ran)!r}).touch()\ndef train(config, trial): return 0\n"
    (tmp_path / "outside.py").write_text(effect)
    (root / "link.py").symlink_to(tmp_path / "outside.py")
    (root / "pack.zip").write_bytes(b"PK")
    monkeypatch.chdir(root)
    with pytest.raises(ConfigError):
        load_objective(locate_objective(name))
    assert not ran.exists()
    assert os.listdir(root / "space") == []


def test_an_objective_that_is_no_function_is_refused_before_any_trial(tmp_path: Path) -> None:
    space = {"name": "typed", "parameters": {"x": {"float": [0, 1]}}}
    with open_problem(tmp_path / "problem", space=space, algorithm={"name": "random"}, budget=3) as problem:
        with pytest.raises(InputError, match="an objective is a function"):
            problem.run(3)  # type: ignore[arg-type]
        assert not problem.journal.events
