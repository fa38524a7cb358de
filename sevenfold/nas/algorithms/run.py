"""Many trials of a search side by side, with one question to the benchmark in every round."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.config import below, named, validate
from sevenfold.errors import InputError
from sevenfold.nas.algorithms import ALGORITHMS
from sevenfold.nas.algorithms.base import Algorithm
from sevenfold.nas.spaces.base import Ints, Space

Evaluate = Callable[[Ints], NDArray[np.float64]]
"""Losses of a population, (n,), or (n, m) where there are several."""


@dataclass(frozen=True)
class Trace:
    """What one trial evaluated, in order: architectures (n, width) and losses, (n,), or (n, m) of m losses.

    ``searcher_seconds`` is the time the algorithm itself took; trials that ran side by side share it evenly.
    """

    archs: Ints
    losses: NDArray[np.float64]
    searcher_seconds: float

    def incumbents(self) -> NDArray[np.int64]:
        """Return the place of the lowest loss so far after every evaluation, (n,); the first of equals."""
        if self.losses.ndim > 1:
            raise InputError(f"{self.losses.shape[1]} losses have a front and no incumbent")
        losses = np.where(np.isnan(self.losses), np.inf, self.losses)
        lowest = np.minimum.accumulate(losses)
        new = np.concatenate([[True], losses[1:] < lowest[:-1]])
        return np.maximum.accumulate(np.where(new, np.arange(len(losses)), 0))


def start_trials(
    node: Mapping[str, Any], space: Space, rngs: Sequence[Generator], key: str = "algorithm"
) -> list[Algorithm]:
    """Build the component of ``ALGORITHMS`` that ``node`` names, once for each stream of random numbers.

    Mistakes raise ``ConfigError`` with the full key below ``key``.

    >>> import numpy as np
    >>> from sevenfold.nas import NB201, start_trials
    >>> streams = [np.random.default_rng(seed) for seed in range(2)]
    >>> trials = start_trials({"name": "evolution", "population": 20}, NB201(), streams)
    >>> [trial.ask(10).shape for trial in trials]
    [(10, 6), (10, 6)]
    """
    algorithm = named(ALGORITHMS, node, key)
    options = {option: value for option, value in node.items() if option != "name"}
    options = validate(algorithm, options, key, ALGORITHMS.given)
    with below(key):
        return [algorithm(space=space, rng=rng, **options) for rng in rngs]


def run_trials(
    trials: Sequence[Algorithm], evaluate: Evaluate, *, budget: int, k: int | None = None
) -> list[Trace]:
    """Give every trial exactly ``budget`` evaluations; fewer only where the space ends.

    ``k`` queries are answered at a time, by default the whole initial design and then as many as the
    algorithm proposes. Every query counts, a repeated one too. Trials are of one class with the same options;
    they do not influence each other.

    >>> import numpy as np
    >>> from sevenfold.nas import Objective, load_benchmark, run_trials, start_trials
    >>> bench = load_benchmark("digits-nb201")
    >>> trials = start_trials({"name": "local_search"}, bench.space, [np.random.default_rng(0)])
    >>> (trace,) = run_trials(trials, Objective(bench, "val", "acc").losses, budget=150)
    >>> len(trace.losses), bool(trace.losses.min() < trace.losses[:10].min())
    (150, True)
    """
    if budget < 1 or (k is not None and k < 1):
        raise InputError(f"budget and k must be at least 1, got {budget} and {k}")
    # A budget counts queries, as in White, Neiswanger and Savani 2021; trials share calls, nothing else.
    queries: list[list[Ints]] = [[] for _ in trials]
    losses_of: list[list[NDArray[np.float64]]] = [[] for _ in trials]
    left, active, seconds = [budget] * len(trials), list(range(len(trials))), 0.0
    while active:
        began = time.perf_counter()
        counts = [min(k or trials[i].at_once(), left[i]) for i in active]
        answers = type(trials[0]).ask_together([trials[i] for i in active], counts)
        seconds += time.perf_counter() - began
        losses = np.split(evaluate(np.concatenate(answers)), np.cumsum([len(a) for a in answers])[:-1])
        began = time.perf_counter()
        type(trials[0]).tell_together([trials[i] for i in active], answers, losses)
        for i, archs, values in zip(active, answers, losses, strict=True):
            queries[i].append(archs)
            losses_of[i].append(values)
            left[i] -= len(archs) if len(archs) else left[i]
        seconds += time.perf_counter() - began
        active = [i for i in active if left[i]]
    share = seconds / max(len(trials), 1)
    return [
        Trace(np.concatenate(a), np.concatenate(t), share) for a, t in zip(queries, losses_of, strict=True)
    ]
