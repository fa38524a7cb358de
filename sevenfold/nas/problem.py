"""A problem: a space, a search algorithm and a journal of trials, for objectives of one's own."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.config import build
from sevenfold.errors import InputError, shown
from sevenfold.files import write_text
from sevenfold.nas.algorithms.run import start_trials
from sevenfold.nas.constraints import feasible_first
from sevenfold.nas.journal import Event, Journal
from sevenfold.nas.pareto import front
from sevenfold.nas.problem_options import DEFAULTS, check_options, goals_of
from sevenfold.nas.running import Stop, run_objective
from sevenfold.nas.spaces import SPACES
from sevenfold.nas.spaces.base import Space
from sevenfold.nas.spaces.typed import Typed
from sevenfold.nas.trial import Objective, Trial, Values, read_values
from sevenfold.seeding import numpy_generator, stream_seed

REPEATED = 5
"""How many of the best are evaluated again, at least."""


class Problem:
    """A search whose every trial is a line of ``trials.jsonl`` in a folder, and which continues from there.

    After a kill at any moment, opening the folder again gives the search as it was: finished trials count,
    those without an end are given out again before anything new. A failed trial is repeated up to
    ``retries`` times, then counts as the worst; being interrupted is no failure.

    Made by :func:`open_problem`.
    """

    # The protocol. (1) One process writes: a lock, void when its owner is dead. (2) A proposal is stored as
    # the algorithm's state with the line to come, in one atomic file, then as that line; whoever finds the
    # state without its line adds it. (3) A result is a line, on disk before anything follows from it. (4) The
    # algorithm learns results only between proposals, and its state says which: replaying is exact.

    def __init__(self, folder: Path, options: Mapping[str, Any]) -> None:
        self.folder, self.options = folder, dict(options)
        self.space: Space = build(SPACES, options["space"], "space")
        stream = numpy_generator(options["seed"], "nas problem")
        (self.algorithm,) = start_trials(options["algorithm"], self.space, [stream])
        self.goals = goals_of(options)
        self.algorithm.bounded = bool(self.goals.bounds)
        self.rows: dict[int, tuple[int, ...]] = {}
        """Architectures of all trials by number."""
        self._repeats: set[int] = set()
        self._waiting: list[int] = []
        self._attempts: Counter[int] = Counter()
        self._informed: set[int] = set()  # trials whose loss the algorithm has
        self.losses: dict[int, float] = {}
        """Losses of finished trials by number, the first of several; NaN where all attempts failed."""
        self.measured: dict[int, list[float]] = {}
        """The numbers of each success: its losses and, where there are constraints, its violation."""
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
        if self._state_file.exists():
            saved = json.loads(self._state_file.read_text(encoding="utf-8"))
            if len(self.journal.events) < saved["events"]:
                raise InputError(f"{self.journal.path} is older than {self._state_file.name}; restore both")
            self.algorithm.load_state_dict(saved["state"])
            self._informed = set(saved["informed"])
            # A kill between the state and its line: the state knows the proposal, the journal not yet.
            if len(self.journal.events) == saved["events"]:
                self.journal.append("asked", **saved["asked"])
        elif any(event["event"] == "asked" for event in self.journal.events):
            raise InputError(f"{self._state_file} is missing, so that the search cannot continue; restore it")
        for event in self.journal.events:
            self._replay(event)
        self._waiting = [number for number in self.rows if number not in self.losses]

    def _replay(self, event: Event) -> None:
        number = event.get("id", -1)
        if event["event"] == "asked":
            self.rows[number] = tuple(event["row"])
            self._repeats |= {number} if event["repeat"] else set()
        elif event["event"] == "failed":
            self._attempts[number] += 1
        if event["event"] == "told" or (event["event"] == "failed" and event["final"]):
            self._end(number, event.get("measured") or [event.get("loss", math.nan)])

    def ask(self, *, lag: int | None = None) -> Trial | None:
        """Return a trial to evaluate, one without an end first; None when there is none now.

        There is none when budget or space is used up, or when a proposal must wait: repeats do until all
        others have ended.

        Args:
            lag: propose trial n from the results of exactly the trials up to n - ``lag``, once these have
                ended, so that proposals do not depend on which trial ends first; by default from all results.
        """
        number = len(self.rows)
        if lag is None:
            self._inform(number)
        if self._waiting:
            return self._trial(self._waiting.pop(0))
        if number >= self.options["budget"] - self.repeats:
            return self._repeat(number)
        if lag is not None:
            if any(earlier not in self.losses for earlier in range(number - lag + 1)):
                return None
            self._inform(number - lag + 1)
        rows = self.algorithm.ask(1)
        return self._propose(number, tuple(rows[0].tolist())) if len(rows) else None

    def _inform(self, end: int) -> None:
        """Let the algorithm learn the losses of the trials before ``end``, in the order of their numbers."""
        new = [n for n in sorted(self.losses.keys() - self._informed - self._repeats) if n < end]
        if new:
            failure = [math.nan] * (len(self.goals.losses) + self.algorithm.bounded)
            numbers = [self.measured.get(n, failure) for n in new]
            self.algorithm.tell(np.array([self.rows[n] for n in new]), numbers)
            self._informed |= set(new)

    def _propose(self, number: int, row: tuple[int, ...]) -> Trial:
        """Record a proposal of the algorithm."""
        entry = self._entry(number, row, repeat=False)
        # First the state, then the line: a kill between them leaves a state that holds the line.
        state = {
            "events": len(self.journal.events),
            "asked": entry,
            "informed": sorted(self._informed),
            "state": self.algorithm.state_dict(),
        }
        write_text(self._state_file, json.dumps(state))
        return self._begin(entry)

    def _begin(self, entry: dict[str, Any]) -> Trial:
        self.journal.append("asked", **entry)
        self._replay({"event": "asked", **entry})
        return self._trial(entry["id"])

    def _entry(self, number: int, row: tuple[int, ...], *, repeat: bool) -> dict[str, Any]:
        values = {"values": self._config(row), "seed": self._seed(number)}
        return {"id": number, "row": row, **values, "repeat": repeat}

    @property
    def repeats(self) -> int:
        """How many evaluations at the end of the budget are further seeds of the best."""
        seeds = self.options["seeds"]
        return 0 if seeds == 1 else round(seeds["last"] * self.options["budget"])

    def _repeat(self, number: int) -> Trial | None:
        """Record another seed of one of the best; None where none is due or other trials are out."""
        once = self.rows.keys() - self._repeats
        if number >= self.options["budget"] or not once <= self.losses.keys():
            return None
        most = self.options["seeds"]["max"]
        best = sorted((self._order(n), n) for n in once if n in self.measured)
        # Chosen by their first loss, whatever the repeats bring: those may still be computed.
        rows = list(dict.fromkeys(self.rows[n] for _, n in best))
        rows = rows[: max(REPEATED, math.ceil(self.repeats / (most - 1)))]
        counts = Counter(self.rows.values())
        row = min(rows, key=counts.__getitem__, default=None)
        if row is None or counts[row] >= most:
            return None
        return self._begin(self._entry(number, row, repeat=True))

    def _seed(self, number: int) -> int:
        return stream_seed(self.options["seed"], "nas problem", "trial", number)

    def _config(self, row: tuple[int, ...]) -> dict[str, Any]:
        if isinstance(self.space, Typed):
            return self.space.values(np.array(row))
        return {"arch": list(row), "arch_str": self.space.to_strings(np.array([row]))[0]}

    def _trial(self, number: int) -> Trial:
        folder = self.folder / "trials" / f"{number:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        row, attempt = self.rows[number], self._attempts[number]
        return Trial(
            number, row, self._config(row), self._seed(number), attempt, folder, self.options["epochs"]
        )

    def tell(self, trial: Trial | int, values: Values, *, seconds: float | None = None) -> None:
        """Record the result of a trial: a loss, or a mapping with all that the problem names.

        NaN and +inf are failures. ``InputError`` refuses -inf, other types than numbers, a missing name,
        and a trial that was not given out or has ended.
        """
        number = self._open(trial)
        named = read_values(number, values, self.goals)
        if (why := self.goals.unusable(named)) is not None:
            self.fail(number, why)
            return
        finite = {name: value if math.isfinite(value) else None for name, value in named.items()}
        losses, violation = self.goals.of(named)
        measured = losses if violation is None else [*losses, violation]
        more = {} if len(measured) == 1 else {"measured": measured}
        self.journal.append("told", id=number, loss=losses[0], **more, values=finite, seconds=seconds)
        self._end(number, measured)

    def fail(self, trial: Trial | int, why: str) -> None:
        """Record that a trial failed; it is given out again while it has retries."""
        number = self._open(trial)
        final = self._attempts[number] >= self.options["retries"]
        self.journal.append("failed", id=number, why=why, attempt=self._attempts[number], final=final)
        self._attempts[number] += 1
        if final:
            self._end(number, [math.nan])
        elif number not in self._waiting:
            self._waiting.append(number)

    def _end(self, number: int, measured: list[float]) -> None:
        self.losses[number] = measured[0]
        if not math.isnan(measured[0]):
            self.measured[number] = measured
        # Evaluated elsewhere before it was given out again: welcome all the same.
        if number in self._waiting:
            self._waiting.remove(number)

    def _open(self, trial: Trial | int) -> int:
        number = trial.id if isinstance(trial, Trial) else trial
        if number not in self.rows or number in self.losses:
            what = "has ended" if number in self.losses else "was never given out"
            raise InputError(f"trial {shown(number)} {what}")
        return number

    def run(
        self,
        objective: Objective | str,
        *,
        changed: bool = False,
        workers: int | Mapping[str, Any] = 1,
        trial_seconds: float | None = None,
        seconds: float | None = None,
        repeatable: bool = True,
        stop: Stop | None = None,
        stopping: Callable[[], bool] = bool,  # bool() is False
    ) -> None:
        """Evaluate trials until budget or space is used up.

        Args:
            objective: function of a configuration and its :class:`Trial` that returns a loss or a mapping, or
                a generator that yields a mapping for each epoch; or the name ``module:function`` of one in a
                file below the working directory.
            changed: go on although the file's content is another than in the journal.
            workers: 1 to evaluate in this process, more for as many worker processes, or a mapping such as
                ``{"name": "processes", "workers": 1, "threads": 2}``.
            trial_seconds: after which a trial is ended and has failed; needs worker processes.
            seconds: after which no further trial starts; those that run are waited for.
            repeatable: propose each trial from the results of those at least 2 ``workers`` - 1 before it, so
                that a run does not depend on which worker is faster; False: from all results there are, so
                that no worker waits where trials take very different times.
            stop: called as ``stop(trial, epoch, values)`` with each epoch's report; where it returns True,
                the objective should return: its ``report`` is False, its generator is closed.
            stopping: called before each trial; where it returns True no further trial starts.
        """
        for name, limit in {"trial_seconds": trial_seconds, "seconds": seconds}.items():
            number = isinstance(limit, int | float) and not isinstance(limit, bool)
            if limit is not None and not (number and limit > 0):
                raise InputError(f"{name} must be a number above 0, got {shown(limit)}")
        run_objective(
            self, objective, changed=changed, workers=workers, trial_seconds=trial_seconds,
            seconds=seconds, repeatable=repeatable, stop=stop, stopping=stopping,
        )  # fmt: skip

    def best(self) -> tuple[dict[str, Any], float]:
        """Return the best configuration, the earlier of equal ones, and its loss.

        What meets the constraints is better than what does not, and then what violates them less. With
        further seeds it is the lowest mean among those that have most of them: a single lucky seed does not
        win over a mean. Of several losses there is no best one, but a :meth:`front`.
        """
        if len(self.goals.losses) > 1:
            raise InputError(f"{', '.join(self.goals.losses)} have a front and no best: see front()")
        orders: dict[tuple[int, ...], list[tuple[float, float]]] = defaultdict(list)
        for number in sorted(self.measured):
            orders[self.rows[number]].append(self._order(number))
        if not orders:
            raise InputError("no trial has succeeded yet")
        most = max(map(len, orders.values())) if self.repeats else 1
        means = {
            row: (sum(order[0] for order in some) / len(some), sum(order[1] for order in some) / len(some))
            for row, some in orders.items()
            if len(some) >= most
        }
        row = min(means, key=means.__getitem__)
        return self._config(row), means[row][1]

    def _order(self, number: int) -> tuple[float, float]:
        """Return what successes are ordered by: the violation of constraints, then the first loss."""
        measured = self.measured[number]
        return measured[-1] if self.goals.bounds else 0.0, measured[0]

    def front(self) -> list[tuple[dict[str, Any], dict[str, float]]]:
        """Return configurations and losses by name that no other success dominates, by the first loss.

        Those that violate a constraint are on it only where every success violates some. A value to maximize
        stands with the sign that it has.
        """
        numbers = sorted(self.measured, key=lambda n: (self.measured[n], n))
        table = np.array([self.measured[number] for number in numbers])
        if not len(table):
            return []
        losses = feasible_first(table) if self.goals.bounds else table
        best = front(losses) if losses.shape[1] > 1 else losses[:, 0] == losses.min()
        signs = [1.0] * len(self.goals.minimize) + [-1.0] * len(self.goals.maximize)
        values = table[:, : len(signs)] * signs
        return [
            (
                self._config(self.rows[numbers[n]]),
                dict(zip(self.goals.losses, values[n].tolist(), strict=True)),
            )
            for n in np.flatnonzero(best)
        ]

    def __enter__(self) -> "Problem":
        """Return the problem."""
        return self

    def __exit__(self, *error: object) -> None:
        """Let other processes open the folder."""
        self.journal.close()


def open_problem(folder: str | Path, **options: Any) -> Problem:
    """Return the problem of a folder, a new one or one to continue.

    Args:
        folder: holds ``problem.json``, ``trials.jsonl``, ``search.json`` and a folder for each trial.
        options: ``space`` and ``algorithm``, each a name with options; ``budget`` of trials (100); ``seed``
            (0); ``retries`` of a failed trial (1); ``minimize`` and ``maximize``, the names of one value or
            several ("loss"); ``constraints`` of values, such as ``{"params_m": "<= 0.5"}``; ``epochs``, which
            trials are given (None); ``seeds`` (1), or ``{"max": 3, "last": 0.07}`` to spend the last 7 % of
            the budget on second and third seeds of the five best. Later calls may leave options out; only
            ``budget`` and ``retries`` may change.

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
    check_options(merged)
    # The options are stored once the problem stands: a mistake leaves no folder that refuses its repair.
    folder.mkdir(parents=True, exist_ok=True)
    problem = Problem(folder, merged)
    write_text(file, json.dumps(merged, indent=1))
    return problem
