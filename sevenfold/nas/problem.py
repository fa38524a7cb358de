"""A problem: a space, a search algorithm and a journal of trials, for objectives of one's own."""

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.config import build
from sevenfold.errors import InputError, one_line, shown
from sevenfold.files import write_text
from sevenfold.nas.algorithms.run import start_trials
from sevenfold.nas.journal import Journal
from sevenfold.nas.objectives import load_objective, locate_objective
from sevenfold.nas.spaces import SPACES
from sevenfold.nas.spaces.base import Space
from sevenfold.nas.spaces.typed import Typed
from sevenfold.seeding import numpy_generator, stream_seed

Values = float | Mapping[str, float]
Objective = Callable[[dict[str, Any], "Trial"], Values]


@dataclass(frozen=True)
class Trial:
    """One evaluation: its number, what it evaluates, a separate random seed and a folder for its files.

    ``config`` holds the values of a typed space, else the row as ``arch`` and its string as ``arch_str``.
    ``attempt`` counts from 0; another attempt has the same seed.
    """

    id: int
    row: tuple[int, ...]
    config: dict[str, Any]
    seed: int
    attempt: int
    folder: Path


class Problem:
    """A search whose every trial is a line of ``trials.jsonl`` in a folder, and which continues from there.

    After a kill at any moment, opening the folder again gives the search as it was: finished trials count,
    those without an end are given out again before anything new. A failed trial is repeated up to
    ``retries`` times, then counts as the worst.

    Made by :func:`open_problem`.
    """

    def __init__(self, folder: Path, options: Mapping[str, Any]) -> None:
        self.folder, self.options = folder, dict(options)
        self.space: Space = build(SPACES, options["space"], "space")
        stream = numpy_generator(options["seed"], "nas problem")
        (self.algorithm,) = start_trials(options["algorithm"], self.space, [stream])
        self._rows: dict[int, tuple[int, ...]] = {}
        self._waiting: list[int] = []
        self._attempts: Counter[int] = Counter()
        self.losses: dict[int, float] = {}
        """Losses of finished trials by number; NaN where all attempts failed."""
        self.journal = Journal(folder / "trials.jsonl")
        try:
            self._restore()
        except BaseException:
            self.journal.close()
            raise

    @property
    def _state_file(self) -> Path:
        return self.folder / "search.json"

    def _restore(self) -> None:
        """Bring the search to where the journal ends."""
        saved: dict[str, Any] = {"events": 0}
        if self._state_file.exists():
            saved = json.loads(self._state_file.read_text(encoding="utf-8"))
            if len(self.journal.events) < saved["events"]:
                raise InputError(f"{self.journal.path} is older than {self._state_file.name}; restore both")
            self.algorithm.load_state_dict(saved["state"])
            # A kill between the state and its line: the state knows the proposal, the journal not yet.
            if len(self.journal.events) == saved["events"]:
                self.journal.append("asked", **saved["asked"])
        elif any(event["event"] == "asked" for event in self.journal.events):
            raise InputError(f"{self._state_file} is missing, so that the search cannot continue; restore it")
        for number, event in enumerate(self.journal.events):
            self._replay(event, known=number < saved["events"])
        self._waiting = [trial for trial in self._rows if trial not in self.losses]

    def _replay(self, event: Mapping[str, Any], *, known: bool) -> None:
        """Take in an event of the journal, which the saved search may know."""
        trial = event.get("id", -1)
        if event["event"] == "asked":
            self._rows[trial] = tuple(event["row"])
        elif event["event"] == "failed":
            self._attempts[trial] += 1
        if event["event"] == "told" or (event["event"] == "failed" and event["final"]):
            self._end(trial, event.get("loss", math.nan), tell=not known)

    def _end(self, trial: int, loss: float, *, tell: bool = True) -> None:
        self.losses[trial] = loss
        if tell:
            self.algorithm.tell(np.array([self._rows[trial]]), [loss])

    def ask(self) -> Trial | None:
        """Return a trial to evaluate, one without an end first; None when budget or space is used up."""
        if self._waiting:
            return self._trial(self._waiting.pop(0))
        if len(self._rows) >= self.options["budget"]:
            return None
        rows = self.algorithm.ask(1)
        if not len(rows):
            return None
        number, row = len(self._rows), tuple(rows[0].tolist())
        entry = {"id": number, "row": row, "seed": self._seed(number)}
        # First the state, then the line: a kill between them leaves a state that holds the line.
        state = {"events": len(self.journal.events), "asked": entry, "state": self.algorithm.state_dict()}
        write_text(self._state_file, json.dumps(state))
        self.journal.append("asked", **entry)
        self._rows[number] = row
        return self._trial(number)

    def _seed(self, number: int) -> int:
        return stream_seed(self.options["seed"], "nas problem", "trial", number)

    def _trial(self, number: int) -> Trial:
        row = np.array(self._rows[number])
        if isinstance(self.space, Typed):
            config = self.space.values(row)
        else:
            config = {"arch": row.tolist(), "arch_str": self.space.to_strings(row[None])[0]}
        folder = self.folder / "trials" / f"{number:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        attempt = self._attempts[number]
        return Trial(number, self._rows[number], config, self._seed(number), attempt, folder)

    def tell(self, trial: Trial | int, values: Values, *, seconds: float | None = None) -> None:
        """Record the result of a trial: a loss, or a mapping that holds it under ``minimize``.

        NaN and +inf are failures. ``InputError`` refuses -inf, other types than numbers, a missing name,
        and a trial that was not given out or has ended.
        """
        number = self._open(trial)
        loss, extra = self._loss(number, values)
        if not math.isfinite(loss):
            self.fail(number, f"the objective returned {loss}")
            return
        self.journal.append("told", id=number, loss=loss, values=extra, seconds=seconds)
        self._end(number, loss)

    def fail(self, trial: Trial | int, why: str) -> None:
        """Record that a trial failed; it is given out again while it has retries."""
        number = self._open(trial)
        final = self._attempts[number] >= self.options["retries"]
        self.journal.append("failed", id=number, why=why, attempt=self._attempts[number], final=final)
        self._attempts[number] += 1
        if final:
            self._end(number, math.nan)
        else:
            self._waiting.append(number)

    def _open(self, trial: Trial | int) -> int:
        number = trial.id if isinstance(trial, Trial) else trial
        if number not in self._rows or number in self.losses:
            what = "has ended" if number in self.losses else "was never given out"
            raise InputError(f"trial {shown(number)} {what}")
        # Evaluated elsewhere before it was given out again: welcome all the same.
        if number in self._waiting:
            self._waiting.remove(number)
        return number

    def _loss(self, number: int, values: Any) -> tuple[float, dict[str, float]]:
        name = self.options["minimize"]
        named = dict(values) if isinstance(values, Mapping) else {name: values}
        if name not in named:
            raise InputError(
                f"trial {number}: '{name}' is missing, got {', '.join(map(str, named)) or 'nothing'}"
            )
        for key, value in named.items():
            number_like = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if not number_like or value == -math.inf:
                raise InputError(f"trial {number}: '{key}' must be a number above -inf, got {shown(value)}")
        return float(named[name]), {str(key): float(value) for key, value in named.items()}

    def run(self, objective: Objective | str, *, changed: bool = False) -> None:
        """Evaluate trials here, one after another, until budget or space is used up.

        Args:
            objective: function of a configuration and its :class:`Trial`, or the name ``module:function`` of
                one in a file below the working directory.
            changed: go on although the file's content is another than in the journal.
        """
        function = self._load(objective, changed) if isinstance(objective, str) else objective
        if not callable(function):
            raise InputError(f"an objective is a function, or module:function, got {shown(objective)}")
        while (trial := self.ask()) is not None:
            began = time.perf_counter()
            try:
                self.tell(trial, function(trial.config, trial), seconds=time.perf_counter() - began)
            # A kill is no failure of the trial: only what the objective does uses up a retry.
            except InputError as error:  # a result that is no loss
                self.fail(trial, one_line(error))
            except Exception as error:
                self.fail(trial, f"{type(error).__name__}: {one_line(error)}")

    def _load(self, name: str, changed: bool) -> Objective:
        source = locate_objective(name)
        before = [event["sha256"] for event in self.journal.events if event["event"] == "objective"]
        if before and before[-1] != source.sha256 and not changed:
            raise InputError(f"{source.path} changed since trials were recorded; pass changed=True to go on")
        if not before or before[-1] != source.sha256:
            self.journal.append("objective", name=name, path=str(source.path), sha256=source.sha256)
        return load_objective(source)

    def best(self) -> tuple[dict[str, Any], float]:
        """Return the configuration with the lowest loss, the earlier of equal ones, and that loss."""
        ended = {number: loss for number, loss in self.losses.items() if not math.isnan(loss)}
        if not ended:
            raise InputError("no trial has succeeded yet")
        number = min(ended, key=lambda trial: (ended[trial], trial))
        return self._trial(number).config, ended[number]

    def __enter__(self) -> "Problem":
        """Return the problem."""
        return self

    def __exit__(self, *error: object) -> None:
        """Let other processes open the folder."""
        self.journal.close()


DEFAULTS = {"budget": 100, "seed": 0, "retries": 1, "minimize": "loss"}


def open_problem(folder: str | Path, **options: Any) -> Problem:
    """Return the problem of a folder, a new one or one to continue.

    Args:
        folder: holds ``problem.json``, ``trials.jsonl``, ``search.json`` and a folder for each trial.
        options: ``space`` and ``algorithm``, each a name with options; ``budget`` of trials (100); ``seed``
            (0); ``retries`` of a failed trial (1); ``minimize``, the name of the loss among several values
            ("loss"). Later calls may leave them out; only ``budget`` and ``retries`` may change.

    >>> import tempfile
    >>> space = {"name": "typed", "parameters": {"x": {"float": [0, 1]}, "c": {"choice": ["a", "b"]}}}
    >>> search = {"name": "local_search", "continue_at_min": True}
    >>> with open_problem(tempfile.mkdtemp(), space=space, algorithm=search, budget=30) as problem:
    ...     problem.run(lambda config, trial: (config["x"] - 0.5) ** 2 + (config["c"] == "a"))
    ...     config, loss = problem.best()
    >>> config["c"], loss < 0.01
    ('b', True)
    """
    folder = Path(folder)
    file = folder / "problem.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    given = json.loads(json.dumps(options))
    if unknown := sorted(given.keys() - {"space", "algorithm", *DEFAULTS}):
        raise InputError(
            f"a problem has no option '{unknown[0]}'; it has space, algorithm, {', '.join(DEFAULTS)}"
        )
    for key, value in given.items():
        if key in known and known[key] != value and key not in ("budget", "retries"):
            raise InputError(f"{file} has another '{key}'; take a new folder, or leave the option out")
    merged = {**DEFAULTS, **known, **given}
    for key in ("space", "algorithm"):
        if key not in merged:
            raise InputError(f"a new problem needs '{key}', a mapping with a name and options")
    for key in ("budget", "retries", "seed"):
        if type(merged[key]) is not int or merged[key] < (key == "budget"):
            raise InputError(
                f"'{key}' must be a whole number of at least {int(key == 'budget')}, got {merged[key]}"
            )
    # The options are stored once the problem stands: a mistake leaves no folder that refuses its repair.
    folder.mkdir(parents=True, exist_ok=True)
    problem = Problem(folder, merged)
    write_text(file, json.dumps(merged, indent=1))
    return problem
