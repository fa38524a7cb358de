"""Objectives in worker processes: the same search as here, faults, limits, reports, and kills anywhere."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sevenfold.errors import InputError
from sevenfold.nas import open_problem

SPACE = {"name": "typed", "parameters": {"x": {"float": [0, 1]}, "c": {"choice": ["a", "b"]}}}
LOCAL = {"name": "local_search", "continue_at_min": True}
TWO = {"name": "processes", "workers": 2}
BOWL = """
    import time

    def train(config, trial):
        time.sleep(trial.seed % 10 / 1000)  # trials end in another order than they began
        return (config["x"] - 0.7) ** 2 + (config["c"] == "a") + 1e-6 * (trial.seed % 1000)
"""


def bowl(config: dict[str, Any], trial: Any) -> float:
    return (config["x"] - 0.7) ** 2 + (config["c"] == "a") + 1e-6 * (trial.seed % 1000)


def written(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(textwrap.dedent(text))


def journal(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def results(folder: Path) -> list[tuple[list[int], int, float]]:
    """Return row, seed and loss of finished trials, sorted; a trial that ended twice is refused."""
    events = journal(folder)
    asked = {event["id"]: event for event in events if event["event"] == "asked"}
    told = {event["id"]: event for event in events if event["event"] == "told"}
    ends = Counter(event["id"] for event in events if event["event"] in ("told", "asked"))
    assert set(ends.values()) <= {1, 2} and len(asked) == max(asked) + 1
    return sorted((asked[n]["row"], asked[n]["seed"], event["loss"]) for n, event in told.items())


def test_workers_search_what_the_lagged_proposals_say(tmp_path, monkeypatch):
    """With two workers proposal n rests on the results up to n - 3 exactly, whichever worker is faster."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "work", BOWL)
    options = {"space": SPACE, "algorithm": LOCAL, "budget": 16}
    with open_problem(tmp_path / "workers", **options) as problem:
        problem.run("work:train", workers=2)
    out = []
    with open_problem(tmp_path / "by hand", **options) as problem:
        while True:
            trial = problem.ask(lag=3)
            if trial is not None:
                out.append(trial)
            if trial is None and not out:
                break
            if trial is None or len(out) == 2:
                first = out.pop(random.Random(len(problem.losses)).randrange(len(out)))
                problem.tell(first, bowl(first.config, first))
    assert results(tmp_path / "workers") == results(tmp_path / "by hand")
    assert len(results(tmp_path / "workers")) == 16


FAULTS = """
    import os

    def train(config, trial):
        kind = ["good", "raise", "nan", "-inf", "text", "name", "exit", "steps"][trial.id % 8]
        if kind == "raise":
            raise ValueError("two\\nlines")
        if kind == "exit":
            os._exit(3)
        if kind == "steps":
            return steps(trial)
        (trial.folder / "weights").write_text(str(trial.seed))
        wrong = {"nan": float("nan"), "-inf": -float("inf"), "text": "good", "name": {"acc": 1.0}}
        return wrong.get(kind, 1.0)

    def steps(trial):
        for epoch in range(1, 10):
            yield {"loss": 1 / epoch, "epoch_seen": epoch}
"""


def test_each_fault_of_an_objective_has_its_record_and_the_search_continues(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "faults", FAULTS)
    random_search = {"name": "random"}
    with open_problem("run", space=SPACE, algorithm=random_search, budget=9, retries=0) as problem:
        problem.run("faults:train", workers=TWO, stop=lambda trial, epoch, values: epoch == 4)
        whys = {event["id"]: event["why"] for event in problem.journal.events if event["event"] == "failed"}
        reports = [event for event in problem.journal.events if event["event"] == "reported"]
    assert whys == {
        1: "ValueError: two lines",
        2: "the objective returned nan",
        3: "trial 3: 'loss' must be a number above -inf, got -inf",
        4: "trial 4: 'loss' must be a number above -inf, got 'good'",
        5: "trial 5: 'loss' is missing, got acc",
        6: "the worker process ended (3)",
    }
    assert [(event["id"], event["epoch"], event["values"]["loss"]) for event in reports] == [
        (7, epoch, 1 / epoch) for epoch in (1, 2, 3, 4)
    ]
    told = {event["id"]: event for event in journal(tmp_path / "run") if event["event"] == "told"}
    assert told.keys() == {0, 7, 8} and told[7]["values"] == {"loss": 0.25, "epoch_seen": 4.0}
    assert (tmp_path / "run/trials/00000/weights").exists()


@pytest.mark.slow
def test_a_trial_that_hangs_is_ended_and_the_others_are_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(
        tmp_path,
        "hanging",
        """
        import time

        def train(config, trial):
            assert 0 < trial.deadline - time.time() <= 30
            time.sleep(10_000 if trial.id == 1 else 0.1)
            return 1.0
        """,
    )
    with open_problem("run", space=SPACE, algorithm=LOCAL, budget=4, retries=0) as problem:
        problem.run("hanging:train", workers=TWO, trial_seconds=30)
    failed = [event for event in journal(tmp_path / "run") if event["event"] == "failed"]
    assert [(event["id"], event["why"]) for event in failed] == [(1, "took longer than 30 seconds")]
    assert len(results(tmp_path / "run")) == 3


def test_what_workers_cannot_do_is_refused_before_any_trial(tmp_path):
    with open_problem(tmp_path, space=SPACE, algorithm=LOCAL, budget=3) as problem:
        for wrong, options in {
            "trial_seconds needs worker processes": {"trial_seconds": 3},
            "trial_seconds must be a number above 0": {"trial_seconds": -1},
            "seconds must be a number above 0": {"seconds": "20"},
            "workers is a number of at least 1": {"workers": 0},
            "workers.workers": {"workers": -2},
            "'clouds' is not known": {"workers": {"name": "clouds"}},
            "stop is a function of trial, epoch and values": {"stop": 3},
            "cannot be sent to worker processes": {"workers": 2},
        }.items():
            with pytest.raises(InputError, match=wrong):
                problem.run(lambda config, trial: 0.0, **options)
        assert not problem.journal.events


def test_time_used_up_ends_between_trials(tmp_path):
    with open_problem(tmp_path, space=SPACE, algorithm=LOCAL, budget=10_000) as problem:
        problem.run(bowl, seconds=0.2)
        last = problem.journal.events[-1]
        assert last == {"event": "stopped", "why": "0.2 seconds have passed"}
        assert 0 < len(problem.losses) < 10_000 and not problem._waiting


SEEDS = {"max": 3, "last": 0.25}


def noisy(config: dict[str, Any], trial: Any) -> float:
    return config["x"] + trial.seed % 1000 / 1000


def test_the_end_of_the_budget_goes_to_further_seeds_of_the_best(tmp_path):
    options = {"space": SPACE, "algorithm": {"name": "random"}, "seeds": SEEDS, "budget": 40}
    for folder, budgets in (("whole", [40]), ("pieces", [9, 33, 37, 40])):
        for stop in budgets:
            with open_problem(tmp_path / folder, **options) as problem:
                while len(problem.losses) < stop:
                    trial = problem.ask()
                    problem.tell(trial, noisy(trial.config, trial))
                if stop == 40:
                    assert problem.ask() is None
                    best, mean = problem.best()
    assert results(tmp_path / "whole") == results(tmp_path / "pieces")
    events = [event for event in journal(tmp_path / "whole") if event["event"] == "asked"]
    once, again = events[:30], events[30:]
    assert [event["repeat"] for event in events] == [False] * 30 + [True] * 10
    assert len({event["seed"] for event in events}) == 40
    losses = {e["id"]: e["loss"] for e in journal(tmp_path / "whole") if e["event"] == "told"}
    five = [event["row"] for event in sorted(once, key=lambda event: losses[event["id"]])[:5]]
    assert [event["row"] for event in again] == five * 2  # second seeds of the five best, then third ones
    means = [sum(losses[e["id"]] for e in events if e["row"] == row) / 3 for row in five]
    assert mean == pytest.approx(min(means), rel=1e-12)
    assert best == problem.space.values(five[means.index(min(means))])


@pytest.mark.parametrize("seeds", [3, {"max": 1, "last": 0.1}, {"max": 3, "last": 2.0}, {"max": 3}, True])
def test_seeds_that_mean_nothing_are_refused(tmp_path, seeds):
    with pytest.raises(InputError, match="seeds"):
        open_problem(tmp_path, space=SPACE, algorithm=LOCAL, seeds=seeds)
    assert not list(tmp_path.iterdir())


# Every call by which a search changes a file is a place to die at, before it or, where it secures a line,
# with that line cut short; then the next run dies in its first calls, where it takes the lock over.
ANYWHERE = """
    import json, os, signal, sys
    from pathlib import Path
    from sevenfold.nas import open_problem

    SPACE, LOCAL = json.loads(sys.argv[2])

    def bowl(config, trial):
        trial.report(1, half=0.5)
        return (config["x"] - 0.7) ** 2 + (config["c"] == "a") + 1e-6 * (trial.seed % 1000)

    def search(folder):
        options = {"space": SPACE, "algorithm": LOCAL, "budget": 3, "seeds": {"max": 2, "last": 0.34}}
        with open_problem(folder, **options) as problem:
            problem.run(bowl)

    def arm(count, how):
        left = [count]

        def deadly(name, real):
            def call(*given, **options):
                left[0] -= 1
                if left[0]:
                    return real(*given, **options)
                if how == "torn":
                    os.ftruncate(given[0], max(0, os.fstat(given[0]).st_size - 3))
                os.kill(os.getpid(), signal.SIGKILL)

            return call

        for name in ["fsync"] if how == "torn" else ["fsync", "replace", "link", "unlink"]:
            setattr(os, name, deadly(name, getattr(os, name)))

    def child(folder, count=0, how=""):
        pid = os.fork()
        if not pid:
            if count:
                arm(count, how)
            search(folder)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    root, places = Path(sys.argv[1]), 0
    assert child(root / "whole") == 0
    for how in ("before", "torn"):
        count, status = 0, -signal.SIGKILL
        while status == -signal.SIGKILL:
            count += 1
            folder = root / f"{how}-{count}"
            status = child(folder, count, how)
            child(folder, 1 + count % 9, how)
            assert child(folder) == 0, folder
        places += count - 1
    print(places)
"""


def test_a_search_killed_at_any_change_of_a_file_ends_as_if_it_had_not_been(tmp_path):
    written(tmp_path, "anywhere", ANYWHERE)
    command = [sys.executable, "anywhere.py", tmp_path, json.dumps([SPACE, LOCAL])]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert int(done.stdout) > 30
    whole = results(tmp_path / "whole")
    assert len(whole) == 3
    for folder in tmp_path.iterdir():
        if folder.is_dir() and folder.name != "whole":
            assert results(folder) == whole, folder.name


SCRIPT = """
    import json, sys
    from sevenfold.nas import open_problem

    if __name__ == "__main__":
        options = json.loads(sys.argv[2])
        with open_problem(sys.argv[1], **options) as problem:
            problem.run("work:train", workers=int(sys.argv[3]))
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")
def test_workers_end_with_their_parent_in_the_middle_of_a_trial(tmp_path):
    written(
        tmp_path,
        "work",
        """
        import os, time

        def train(config, trial):
            (trial.folder / "pid.part").write_text(str(os.getpid()))
            (trial.folder / "pid.part").rename(trial.folder / "pid")
            time.sleep(10_000)
        """,
    )
    written(tmp_path, "search", SCRIPT)
    options = json.dumps({"space": SPACE, "algorithm": LOCAL, "budget": 2})
    process = subprocess.Popen([sys.executable, "search.py", "run", options, "2"], cwd=tmp_path)
    while len(files := list(tmp_path.glob("run/trials/*/pid"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    pids = [int(file.read_text()) for file in files]
    assert all(map(alive, pids)) and process.pid not in pids
    process.send_signal(signal.SIGKILL)
    process.wait()
    while any(map(alive, pids)):
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [20])
def test_twenty_kills_with_four_workers_lose_and_repeat_nothing(tmp_path, monkeypatch, kills):
    """The main process is killed at random moments, while it starts too; the search goes on each time."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "work", BOWL.replace("/ 1000)", "/ 50)"))
    written(tmp_path, "search", SCRIPT)
    options = json.dumps({"space": SPACE, "algorithm": LOCAL, "budget": 300, "seeds": SEEDS})
    command = [sys.executable, "search.py", "killed", options, "4"]
    moments, done = random.Random(os.getpid()), 0

    def lines() -> int:
        path = tmp_path / "killed" / "trials.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    for kill in range(kills):
        before, process = lines(), subprocess.Popen(command)
        # Every second kill waits until the search has begun to write, so that 20 kills are spread over it.
        while kill % 2 and process.poll() is None and lines() <= before:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 1.0))
        done += process.poll() is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not done, "the kills came before the end"
    subprocess.run(command, check=True)
    subprocess.run([sys.executable, "search.py", "whole", options, "4"], check=True)
    assert len(results(tmp_path / "killed")) == 300
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
    ended: set[int] = set()
    for event in journal(tmp_path / "killed"):
        assert event["event"] != "started" or event["id"] not in ended, "a finished trial was begun again"
        ended |= {event["id"]} if event["event"] == "told" else set()
