"""A trial of a problem: what an objective is given, and what is made of what it returns."""

import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sevenfold.errors import InputError, shown
from sevenfold.nas.goals import Goals

Values = float | Mapping[str, float]
Objective = Callable[[dict[str, Any], "Trial"], Values | Generator[Mapping[str, float], None, Any]]
Result = tuple[dict[str, float], float]
"""All values by name, and the seconds that they took."""

# This file imports neither NumPy nor torch: worker processes begin with it.


def _to_nobody(message: Any) -> bool:
    return True


@dataclass(frozen=True)
class Trial:
    """One evaluation: its number, what it evaluates, a separate random seed and a folder for its files.

    ``config`` holds the values of a typed space, else the row as ``arch`` and its string as ``arch_str``.
    ``attempt`` counts from 0; another attempt has the same seed. ``epochs`` is the problem's option of that
    name. ``deadline`` is the time (that of ``time.time()``) at which the trial is ended, if it has one.
    """

    id: int
    row: tuple[int, ...]
    config: dict[str, Any]
    seed: int
    attempt: int
    folder: Path
    epochs: int | None = None
    deadline: float | None = None
    say: Callable[[Any], bool] = field(default=_to_nobody, repr=False, compare=False)

    def report(self, epoch: int, **values: float) -> bool:
        """Record values of an epoch, from 1 on; return False if the objective should return now.

        >>> from pathlib import Path
        >>> Trial(0, (3,), {"x": 3}, 7, 0, Path()).report(1, val_error=12.5)
        True
        """
        if isinstance(epoch, bool) or not hasattr(epoch, "__index__") or int(epoch) < 1:
            raise InputError(f"trial {self.id}: an epoch is a whole number from 1 on, got {shown(epoch)}")
        numbers = {name: _number(self.id, name, value) for name, value in values.items()}
        return self.say((int(epoch), numbers))


def _number(trial: int, name: str, value: Any) -> float:
    """Return a number of any library as a float; refuse -inf and everything else."""
    # NumPy's scalars are numbers here, and so are tensors of one element; texts and truth values are none.
    scalar = isinstance(value, int | float) or (hasattr(value, "item") and not getattr(value, "shape", ()))
    number = value.item() if scalar and hasattr(value, "item") else value
    if isinstance(number, bool) or not isinstance(number, int | float) or number == -math.inf:
        raise InputError(f"trial {trial}: '{name}' must be a number above -inf, got {shown(value)}")
    return float(number)


def read_values(trial: int, values: Any, goals: Goals) -> dict[str, float]:
    """Return all values that an objective returned, by name; a bare number is the only one that is wanted.

    >>> read_values(0, 0.5, Goals(("loss",)))
    {'loss': 0.5}
    """
    if not isinstance(values, Mapping) and len(goals.names) > 1:
        raise InputError(
            f"trial {trial}: expected a mapping with {', '.join(goals.names)}, got {shown(values)}"
        )
    named = dict(values) if isinstance(values, Mapping) else {goals.names[0]: values}
    if missing := [name for name in goals.names if name not in named]:
        names = ", ".join(map(str, named)) or "nothing"
        raise InputError(f"trial {trial}: '{missing[0]}' is missing, got {names}")
    return {str(name): _number(trial, str(name), value) for name, value in named.items()}


def evaluate(
    objective: Objective, goals: Goals, trial: Trial, limit: float | None, say: Callable[[Any], bool]
) -> Result:
    """Call an objective, step by step if it is a generator: then every mapping is an epoch's report."""
    began = time.perf_counter()
    trial = replace(trial, say=say, deadline=None if limit is None else time.time() + limit)
    values = objective(trial.config, trial)
    if isinstance(values, Generator):
        values = _last(values, trial)
    return read_values(trial.id, values, goals), time.perf_counter() - began


def _last(steps: Generator[Mapping[str, float], None, Any], trial: Trial) -> Mapping[str, float]:
    last: Mapping[str, float] | None = None
    for epoch, last in enumerate(steps, 1):
        if not isinstance(last, Mapping):
            raise InputError(f"trial {trial.id}: a generator yields mappings, epoch {epoch} is {shown(last)}")
        if not trial.report(epoch, **last):
            steps.close()
            break
    if last is None:
        raise InputError(f"trial {trial.id}: the generator ended before its first epoch")
    return last
