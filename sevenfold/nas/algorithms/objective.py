"""What a search minimizes, and what is reported of it."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.algorithms.run import Trace
from sevenfold.nas.benchmarks.base import Archs, Benchmark, Epoch, Optimum, Seed
from sevenfold.nas.benchmarks.ledger import Ledger


# Regret is the incumbent's loss less the least of the table, as in NAS-Bench-101 (Ying et al. 2019).
@dataclass(frozen=True)
class Objective:
    """One series of a benchmark as a loss: the value where less is better, else 100 - value (percent).

    >>> from sevenfold.nas import Objective, load_benchmark
    >>> objective = Objective(load_benchmark("digits-nb201"), "val", "acc")
    >>> objective.losses(objective.benchmark.archs[:2]).round(2).tolist()
    [54.52, 6.52]
    >>> round(objective.optimum.value, 2)
    3.85
    """

    benchmark: Benchmark
    split: str
    metric: str
    epoch: Epoch = "last"
    seed: Seed = "mean"

    def losses(self, archs: Archs) -> NDArray[np.float64]:
        """Return losses, (n,); NaN where nothing was measured."""
        return self._loss(self.values(archs))

    def values(self, archs: Archs) -> NDArray[np.float64]:
        """Return values as the benchmark has them, (n,); NaN where nothing was measured."""
        return self.benchmark.query(
            archs, split=self.split, metric=self.metric, epoch=self.epoch, seed=self.seed
        )

    def runs(self, archs: Archs) -> NDArray[np.float64]:
        """Return the losses of all trainings of each architecture at the objective's epoch, (n, seeds)."""
        each = [replace(self, seed=cast(Seed, seed)).losses(archs) for seed in self.benchmark.seeds]
        return np.stack(each, axis=1)

    @cached_property
    def optimum(self) -> Optimum | None:
        """Return the lowest loss and every architecture that has it; None where none can be listed."""
        try:
            self.benchmark.archs  # noqa: B018  (refuses where architectures are not listed)
        except InputError:
            return None
        best = self.benchmark.optimum(split=self.split, metric=self.metric, epoch=self.epoch, seed=self.seed)
        return Optimum(float(self._loss(np.array(best.value))), best.archs)

    def _loss(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values if self.metric in self.benchmark.minimize else 100 - values


STEP = 10
"""Queries between two points of a recorded curve."""


def trial_record(trace: Trace, objective: Objective, test: Objective | None) -> dict[str, Any]:
    """Return what is recorded of one trial, plain values only.

    ``val_loss`` is the objective of the incumbent (the lowest so far) at the end and ``test_loss`` what
    ``test`` says of it, which searching never saw; regrets are their distances from the lowest of all, where
    architectures are listed. ``at_optimum`` is 1 if the search reached the lowest objective and
    ``queries_to_optimum`` after how many evaluations, else absent. ``val_curve`` and ``test_curve`` are the
    incumbent's losses after ``queries`` evaluations: 10, 20, ..., and ``seconds_curve`` the simulated time
    until then, where it is known. ``spent`` counts different architectures,
    ``duplicates`` repeats, ``missing`` answers that the table does not have, ``simulated_seconds`` the
    training time where it is known.
    """
    queries = [*range(STEP, len(trace.losses) + 1, STEP)] or [len(trace.losses)]
    curve = trace.incumbents()[np.array(queries) - 1]
    last = trace.incumbents()[-1]
    record = {
        "incumbent": objective.benchmark.space.to_strings(trace.archs[[last]])[0],
        "queries": queries,
        "val_loss": float(trace.losses[last]),
        "val_curve": trace.losses[curve].tolist(),
        **_times(trace, objective, np.array(queries)),
        **_against(objective.optimum, float(trace.losses[last]), "val"),
        **_account(trace, objective),
    }
    if objective.optimum is not None:
        hits = np.flatnonzero(trace.losses == objective.optimum.value)
        record["at_optimum"] = int(len(hits) > 0)
        record |= {"queries_to_optimum": int(hits[0]) + 1} if len(hits) else {}
    if test is not None:
        losses = test.losses(trace.archs[[*curve, last]])
        record |= {"test_loss": float(losses[-1]), "test_curve": losses[:-1].tolist()}
        record |= _against(test.optimum, float(losses[-1]), "test")
    return record


def _against(optimum: Optimum | None, loss: float, split: str) -> dict[str, float]:
    return {} if optimum is None else {f"{split}_regret": loss - optimum.value}


def _account(trace: Trace, objective: Objective) -> dict[str, float]:
    """Return queries, repeats and simulated time as the benchmark's ledger counts them."""
    ledger = Ledger(objective.benchmark, split=objective.split, metric=objective.metric, seed=objective.seed)
    ledger.query(trace.archs, epoch=objective.epoch)
    account = ledger.summary()
    seconds = account.pop("seconds")
    return account if np.isnan(seconds) else {**account, "simulated_seconds": seconds}


def _times(trace: Trace, objective: Objective, queries: NDArray[np.int64]) -> dict[str, list[float]]:
    """Return the simulated time until each point of a curve; a repeated architecture costs nothing."""
    bench = objective.benchmark
    epoch: Epoch = objective.epoch if objective.epoch in (*bench.epochs, "last") else "last"
    seconds = bench.cost(trace.archs, epoch=epoch, seed=objective.seed)
    if np.isnan(seconds).all():
        return {}
    _, first = np.unique(bench.space.keys(trace.archs), return_index=True)
    paid = np.zeros(len(seconds))
    paid[first] = np.nan_to_num(seconds[first])
    return {"seconds_curve": paid.cumsum()[queries - 1].tolist()}
