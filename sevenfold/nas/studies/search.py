"""Search algorithms side by side: trials of each on one benchmark table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.config import ConfigError
from sevenfold.nas.algorithms import AlgorithmNode
from sevenfold.nas.algorithms.objective import Objective, trial_record
from sevenfold.nas.algorithms.run import run_trials, start_trials
from sevenfold.nas.benchmarks import BenchmarkNode
from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.studies.search_figures import draw_all
from sevenfold.nas.studies.search_summary import (
    by_group,
    comparison,
    everything,
    headline,
    scalars,
    verdict,
)
from sevenfold.nas.studies.table import DIGITS, Loss, companion, open_table, reported_test, understood
from sevenfold.ranges import Count
from sevenfold.records import Record
from sevenfold.seeding import numpy_generator
from sevenfold.study import Context, Piece, Report, Section, Study


@dataclass(frozen=True)
class Block(Piece):
    """Trials of one algorithm that run side by side, so that their networks are trained in one stack."""

    trials: tuple[int, ...]


class SearchStudy(Study[Block]):
    """Compare search algorithms on one benchmark table, with equally many evaluations in every trial.

    The protocol of White, Neiswanger and Savani 2021: the test loss of the incumbent by validation loss.
    Trial i of every algorithm has the random stream (seed, i), so that all begin alike.

    Args:
        algorithms: search algorithms, name and options of each by the label it is reported under; null
            removes one that a base file brought in.
        budget: evaluations in each trial.
        trials: trials of each algorithm.
        trials_of: other numbers of trials, by label; those of removed labels are ignored.
        block: trials that run side by side; results do not depend on it except for rounding in networks.
        benchmark: name and options of the benchmark that is searched.
        path: a table file to search instead of the benchmark: the compact form, an ``.npz`` in the shape of
            NAS-Bench-201 (``benchmarks.named_arrays``), or any file of trainings (``benchmarks.door``); null:
            the benchmark.
        dataset: data set of the benchmark or file; null: the only one.
        objective: the loss that is minimized.
        test_path: a table file whose test loss is reported too; null: the test split of the searched table,
            or of ``nb201_cifar.npz`` in the folder of the supplied ``nb201_val_one_seed.npz``.
        reference: label of an algorithm that the best one is compared with too; null: none.

    >>> from sevenfold.nas import SearchStudy
    >>> algorithms = {name: {"name": name} for name in ("random", "evolution")}
    >>> study = SearchStudy(algorithms=algorithms, budget=50, trials=3)
    >>> records = study.run_all()
    >>> sorted(record["key"] for record in records)[:3]
    ['evolution/00000', 'evolution/00001', 'evolution/00002']
    """

    timing = ("searcher_seconds",)
    running = ("val_regret", "val_loss")

    def __init__(
        self,
        *,
        algorithms: dict[str, AlgorithmNode | None],
        budget: Count = 150,
        trials: Count = 40,
        trials_of: dict[str, Count] | None = None,
        block: Count = 50,
        benchmark: BenchmarkNode = DIGITS,
        path: str | None = None,
        dataset: str | None = None,
        objective: Loss = Loss(),
        test_path: str | None = None,
        reference: str | None = None,
    ) -> None:
        self.algorithms = {label: node for label, node in algorithms.items() if node is not None}
        trials_of = trials_of or {}
        if not self.algorithms or trials_of.keys() - algorithms.keys():
            raise ConfigError("trials_of", f"labels of algorithms are {', '.join(self.algorithms) or 'none'}")
        if reference is not None and reference not in self.algorithms:
            raise ConfigError("reference", f"'{reference}' is no label of {', '.join(self.algorithms)}")
        self.reference = reference
        self.counts = {label: trials_of.get(label, trials) for label in self.algorithms}
        self.budget, self.block, self.benchmark = budget, block, benchmark
        self.path, self.dataset, self.loss, self.test_path = path, dataset, objective, test_path

    @cached_property
    def table(self) -> Benchmark:
        """The table that is searched."""
        return open_table(self.benchmark, self.path, self.dataset)

    @cached_property
    def objective(self) -> Objective:
        """The loss that is minimized."""
        return self.loss.of(self.table)

    @cached_property
    def test(self) -> Objective | None:
        """The test loss that is reported beside the searched one."""
        path = self.test_path or companion(self.path, self.dataset)
        return reported_test(self.table, self.objective, path, self.dataset)

    def check(self) -> None:
        """Open the tables and start every algorithm once."""
        for label, node in self.algorithms.items():
            start_trials(
                node, self.objective.benchmark.space, [np.random.default_rng(0)], f"algorithms.{label}"
            )
        _ = self.test

    def pieces(self) -> Sequence[Block]:
        """Return the blocks of trials."""
        return [
            Block(tuple(f"{label}/{trial:05d}" for trial in trials), label, trials)
            for label, count in self.counts.items()
            for at in range(0, count, self.block)
            for trials in [tuple(range(at, min(at + self.block, count)))]
        ]

    def run(self, piece: Block, context: Context) -> list[Record]:
        """Search in all trials of a block."""
        node, objective = self.algorithms[piece.group], self.objective
        # By trial alone: the initial cells of trial i are the same for every algorithm, a paired comparison.
        streams = [numpy_generator(context.seed, "nas trial", trial) for trial in piece.trials]
        trials = start_trials(node, objective.benchmark.space, streams)
        traces = run_trials(trials, objective.losses, budget=self.budget)
        facts = {
            "group": piece.group,
            **({} if objective.split == "val" else {"label": LABELS.format(objective.split)}),
            "algorithm": node["name"],
            "preset": node.get("preset"),
            "space": type(objective.benchmark.space).__name__,
            "dataset": objective.benchmark.dataset,
            **({"understood": list(lines)} if (lines := understood(self.table)) else {}),
            "trainings": len(objective.benchmark.seeds) if objective.seed == "mean" else 1,
            "seed": context.seed,
            "budget": self.budget,
        }
        return [
            {
                "key": key,
                "trial": trial,
                "searcher_seconds": trace.searcher_seconds,
                **facts,
                **trial_record(trace, objective, self.test),
            }
            for key, trial, trace in zip(piece.keys, piece.trials, traces, strict=True)
        ]

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return the algorithms' results, published values beside them, and curves of the incumbents."""
        groups, numbers = by_group(records, self.algorithms), scalars(by_group(records, self.algorithms))
        pictures = draw_all(groups, folder / "images") if groups else []
        published = Section("Published values beside", [PUBLISHED], comparison(groups, numbers))
        lines = records[0].get("understood", []) if records else []
        read = [Section("How the file was read", lines)] if lines else []
        return Report(
            "Search algorithms side by side",
            headline(groups, numbers),
            verdict(groups, numbers, self.budget, self.reference),
            [Section("Every algorithm", [MEANS], everything(groups, numbers)), published, *read],
            pictures,
            numbers,
            {"selected_on": "test"} if self.loss.split == "test" else {},
        )

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return two short trials of each algorithm on synthetic cells in place of files."""
        small = {**options, "trials": 2, "trials_of": None, "budget": 20}
        return small if options.get("path") is None else {**small, "path": None, "dataset": None}


LABELS = "{} {{}} (searched)"
MEANS = "Means over trials, the standard error in brackets; seconds are those of the algorithm itself."
PUBLISHED = (
    "Losses with 95 % intervals of the mean. The verdict compares budget and objective with the papers'; "
    "marks: fig, read off a figure (+- 0.02)."
)
