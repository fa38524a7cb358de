"""Searches of several losses of a table side by side: error and latency, say, under constraints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.config import ConfigError
from sevenfold.errors import suggest
from sevenfold.nas.algorithms import AlgorithmNode
from sevenfold.nas.algorithms.objective import STEP, Objective
from sevenfold.nas.algorithms.run import run_trials, start_trials
from sevenfold.nas.benchmarks import BenchmarkNode
from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.goals import read_goals
from sevenfold.nas.pareto import front, hypervolume
from sevenfold.nas.spaces.base import Ints
from sevenfold.nas.studies.front_summary import front_report, percentiles
from sevenfold.nas.studies.table import DIGITS, open_table
from sevenfold.ranges import Count, Finite
from sevenfold.records import Record
from sevenfold.seeding import numpy_generator
from sevenfold.study import Context, Piece, Report, Study

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trials(Piece):
    """All trials of one algorithm."""

    trials: tuple[int, ...]


class FrontStudy(Study[Trials]):
    """Compare searches for the front of two or three losses on one benchmark table.

    A loss is a series of the table at the end of its schedule (``val/loss``; ``val/error`` is 100 -
    ``val/acc``), mean over seeds, or a property (``params``, ``latency_ms/pixel2``). Constraints bound values
    of the same names. What a search has is judged by the hypervolume that it dominates, against that of the
    table's front (Zitzler and Thiele 1999).

    Args:
        algorithms: search algorithms, name and options of each by the label it is reported under; null
            removes one that a base file brought in.
        minimize: names of what is minimized.
        maximize: names of what is maximized.
        constraints: bounds by name, such as ``{params: "<= 0.3"}``.
        budget: evaluations in each trial.
        trials: trials of each algorithm.
        benchmark: name and options of the benchmark that is searched.
        path: a table file instead of the benchmark; null: the benchmark.
        dataset: data set of the benchmark or file; null: the only one.
        corner: the reference of hypervolumes, a number for each loss (negative for what is maximized); null:
            the 90th percentiles of the table.
        reference: label of an algorithm that the best one is compared with too; null: none.

    >>> from sevenfold.nas import FrontStudy
    >>> algorithms = {name: {"name": name} for name in ("random", "evolution")}
    >>> study = FrontStudy(algorithms=algorithms, minimize=["val/error", "params"], budget=40, trials=2)
    >>> records = study.run_all()
    >>> [len(record["points"]) for record in records]
    [40, 40, 40, 40]
    """

    devices = "cpu"
    timing = ("searcher_seconds",)
    running = ("front_share",)

    def __init__(
        self,
        *,
        algorithms: dict[str, AlgorithmNode | None],
        minimize: list[str],
        maximize: list[str] = [],  # noqa: B006 (never changed)
        constraints: dict[str, str] = {},  # noqa: B006 (never changed)
        budget: Count = 150,
        trials: Count = 20,
        benchmark: BenchmarkNode = DIGITS,
        path: str | None = None,
        dataset: str | None = None,
        corner: list[Finite] | None = None,
        reference: str | None = None,
    ) -> None:
        self.algorithms = {label: node for label, node in algorithms.items() if node is not None}
        self.goals = read_goals(minimize, maximize, constraints)
        if len(self.goals.losses) not in (2, 3):
            raise ConfigError("minimize", f"name two or three losses, got {', '.join(self.goals.losses)}")
        if corner is not None and len(corner) != len(self.goals.losses):
            raise ConfigError("corner", f"needs a number for each of {', '.join(self.goals.losses)}")
        if reference is not None and reference not in self.algorithms:
            raise ConfigError("reference", f"'{reference}' is no label of {', '.join(self.algorithms)}")
        self.budget, self.trials, self.corner, self.reference = budget, trials, corner, reference
        self.benchmark, self.path, self.dataset = benchmark, path, dataset

    @cached_property
    def table(self) -> Benchmark:
        """The table that is searched."""
        return open_table(self.benchmark, self.path, self.dataset)

    def measured(self, archs: Ints) -> Floats:
        """Return the losses of a population, (n, m), and a column of violations where there are bounds."""
        values = {name: self._values(archs, name) for name in self.goals.names}
        signs = [1.0] * len(self.goals.minimize) + [-1.0] * len(self.goals.maximize)
        columns = [sign * values[name] for name, sign in zip(self.goals.losses, signs, strict=True)]
        if self.goals.bounds:
            beyond = [np.maximum(0.0, bound.excess(values[bound.name])) for bound in self.goals.bounds]
            columns.append(np.sum(beyond, axis=0))
        return np.stack(columns, 1)

    def _values(self, archs: Ints, name: str) -> Floats:
        """Return one value of a population by its name."""
        table = self.table
        split, _, metric = name.partition("/")
        if metric == "error" and f"{split}/acc" in table.series:
            return 100 - Objective(table, split, "acc").values(archs)
        if name in table.series:
            return Objective(table, split, metric).values(archs)
        properties: Sequence[str] = getattr(table, "properties", ())
        if name in properties:
            return table.property_of(archs, name)  # type: ignore[attr-defined]
        errors = [f"{key.partition('/')[0]}/error" for key in table.series if key.endswith("/acc")]
        raise ConfigError(
            "minimize",
            f"{table.dataset} has no '{name}'. {suggest(name, [*errors, *table.series, *properties])}",
        )

    @cached_property
    def whole(self) -> Floats:
        """The losses of the table that meet all constraints, (n, m)."""
        measured = self.measured(self.table.archs)
        losses = measured[:, : len(self.goals.losses)]
        known = losses[~np.isnan(measured).any(1) & (measured[:, len(self.goals.losses) :] == 0).all(1)]
        if not len(known):
            raise ConfigError("constraints", f"no architecture of {self.table.dataset} meets all of them")
        return known

    @cached_property
    def edge(self) -> Floats:
        """The different points of the table's front, (k, m)."""
        return np.unique(self.whole[front(self.whole)], axis=0)

    def check(self) -> None:
        """Open the table and start every algorithm once."""
        for label, node in self.algorithms.items():
            (one,) = start_trials(node, self.table.space, [np.random.default_rng(0)], f"algorithms.{label}")
            if not one.several_losses:
                raise ConfigError(f"algorithms.{label}", f"'{node['name']}' minimizes one loss only")
        _ = self.edge

    def pieces(self) -> Sequence[Trials]:
        """Return the trials of each algorithm."""
        trials = tuple(range(self.trials))
        return [
            Trials(tuple(f"{label}/{trial:05d}" for trial in trials), label, trials)
            for label in self.algorithms
        ]

    def run(self, piece: Trials, context: Context) -> list[Record]:
        """Search in all trials of an algorithm."""
        node, table = self.algorithms[piece.group], self.table
        streams = [numpy_generator(context.seed, "nas trial", trial) for trial in piece.trials]
        trials = start_trials(node, table.space, streams)
        for trial in trials:
            trial.bounded = bool(self.goals.bounds)
        traces = run_trials(trials, self.measured, budget=self.budget)
        corner = percentiles(self.whole) if self.corner is None else np.array(self.corner)
        names = [*self.goals.minimize, *(f"-{name}" for name in self.goals.maximize)]
        facts = {
            "group": piece.group, "algorithm": node["name"], "preset": node.get("preset"),
            "space": type(table.space).__name__, "dataset": table.dataset, "seed": context.seed,
            "budget": self.budget, "losses": names, "reference": corner.tolist(),
            "volume": hypervolume(self.edge, corner),
        }  # fmt: skip
        return [
            {
                "key": key,
                "trial": number,
                **facts,
                "queries": [*range(STEP, len(trace.losses) + 1, STEP)] or [len(trace.losses)],
                "points": trace.losses.tolist(),
                "front_share": self._share(trace.losses),
                "searcher_seconds": trace.searcher_seconds,
            }
            for key, number, trace in zip(piece.keys, piece.trials, traces, strict=True)
        ]

    def _share(self, measured: Floats) -> float:
        """Return the share of the front's points among evaluations."""
        seen = measured[:, : self.edge.shape[1]]
        return float((self.edge[:, None] == seen).all(2).any(1).mean())

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return hypervolume regrets, the typical front of each algorithm, shares of the true front."""
        title = "Searches of several losses side by side"
        return front_report(title, records, list(self.algorithms), self.budget, self.reference, folder)

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return two short trials of each algorithm on the embedded table."""
        embedded: dict[str, Any] = {
            "benchmark": dict(DIGITS),
            "path": None,
            "dataset": None,
            "corner": None,
            "maximize": [],
        }
        small = {"trials": 2, "budget": 20, "minimize": ["val/error", "params"], "constraints": {}}
        return {**options, **embedded, **small}
