"""The loop that evaluates the trials of a problem, here or in worker processes."""

import functools
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sevenfold.config import build
from sevenfold.errors import InputError, shown
from sevenfold.executors import CALLS
from sevenfold.executors.calls import Calls, Ending
from sevenfold.nas.goals import Goals
from sevenfold.nas.objectives import Source, load_objective, locate_objective
from sevenfold.nas.trial import Objective, evaluate

if TYPE_CHECKING:
    from sevenfold.nas.problem import Problem

Stop = Callable[[int, int, dict[str, float]], bool]
"""Tells of the number of a trial, an epoch and its values whether the trial should end."""


def prepare(objective: Objective | Source, goals: Goals) -> Callable[..., Any]:
    """Return what a worker calls for each trial; a :class:`Source` is imported now."""
    function = load_objective(objective) if isinstance(objective, Source) else objective
    return functools.partial(evaluate, function, goals)


def run_objective(
    problem: "Problem",
    objective: Objective | str,
    *,
    changed: bool,
    workers: int | Mapping[str, Any],
    trial_seconds: float | None,
    seconds: float | None,
    repeatable: bool,
    stop: Stop | None,
    stopping: Callable[[], bool],
) -> None:
    """Evaluate the trials of a problem; see :meth:`sevenfold.nas.problem.Problem.run`."""
    calls = make_calls(workers)
    if trial_seconds is not None and not calls.limits:
        raise InputError(
            "trial_seconds needs worker processes, which can be ended: workers={'name': 'processes', "
            "'workers': 1}"
        )
    function: Objective | Source = (
        _located(problem, objective, changed) if isinstance(objective, str) else objective
    )
    if not isinstance(function, Source) and not callable(function):
        raise InputError(f"an objective is a function, or module:function, got {shown(objective)}")
    if stop is not None and not callable(stop):
        raise InputError(f"stop is a function of trial, epoch and values, got {shown(stop)}")
    hear = functools.partial(_hear, problem, stop)
    ends = float("inf") if seconds is None else time.monotonic() + seconds

    def over() -> bool:
        return stopping() or time.monotonic() >= ends

    try:
        calls.start(functools.partial(prepare, function, problem.goals), hear)
        lag = 2 * calls.idle - 1 if repeatable else None
        _submit(problem, calls, lag, trial_seconds, over)
        while calls.busy:
            for ending in calls.collect():
                _record(problem, ending)
            _submit(problem, calls, lag, trial_seconds, over)
    finally:
        calls.stop()
    if seconds is not None and time.monotonic() >= ends:
        problem.journal.append("stopped", why=f"{seconds:g} seconds have passed")


def make_calls(workers: int | Mapping[str, Any]) -> Calls:
    """Return the place where trials are evaluated, for a number of processes or a name with options."""
    if isinstance(workers, bool) or not isinstance(workers, int | Mapping) or workers == 0:
        raise InputError(f"workers is a number of at least 1 or a mapping with a name, got {shown(workers)}")
    if isinstance(workers, int):
        workers = {"name": "here"} if workers == 1 else {"name": "processes", "workers": workers}
    calls: Calls = build(CALLS, dict(workers), "workers")
    return calls


def _submit(
    problem: "Problem", calls: Calls, lag: int | None, limit: float | None, over: Callable[[], bool]
) -> None:
    """Begin trials while there is room, time and something to propose."""
    while calls.idle and not over() and (trial := problem.ask(lag=lag)) is not None:
        problem.journal.append("started", id=trial.id, attempt=trial.attempt)
        calls.submit(trial.id, trial, limit, seconds=limit)


def _record(problem: "Problem", ending: Ending) -> None:
    # A kill of this process is no failure of a trial: only what happens to the call uses up a retry.
    if ending.error is not None:
        problem.fail(ending.ticket, ending.error)
    else:
        values, seconds = ending.value
        problem.tell(ending.ticket, values, seconds=seconds)


def _hear(problem: "Problem", stop: Stop | None, number: int, message: tuple[int, dict[str, float]]) -> bool:
    """Record a report on disk before it is answered."""
    epoch, values = message
    finite = {name: value if abs(value) < float("inf") else None for name, value in values.items()}
    problem.journal.append("reported", id=number, epoch=epoch, values=finite)
    if stop is None or not stop(number, epoch, values):
        return True
    problem.journal.append("stopped", id=number, epoch=epoch)
    return False


def _located(problem: "Problem", name: str, changed: bool) -> Source:
    """Return the file of an objective, and record it; nothing is imported."""
    source = locate_objective(name)
    before = [event["sha256"] for event in problem.journal.events if event["event"] == "objective"]
    if before and before[-1] != source.sha256 and not changed:
        raise InputError(f"{source.path} changed since trials were recorded; pass changed=True to go on")
    if not before or before[-1] != source.sha256:
        problem.journal.append("objective", name=name, path=str(source.path), sha256=source.sha256)
    return source
