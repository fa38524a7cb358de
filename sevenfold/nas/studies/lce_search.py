"""Searches that stop unpromising trainings early: regret against epochs, with and without extrapolation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.config import ConfigError, below, build
from sevenfold.nas.benchmarks import BenchmarkNode
from sevenfold.nas.lce import SEARCHES, SearchNode
from sevenfold.nas.lce.filtered import Filter, Trace
from sevenfold.nas.lce.multifidelity import Filtered, Search
from sevenfold.nas.lce.tables import CurveTable
from sevenfold.nas.studies.lce import open_curves
from sevenfold.nas.studies.lce_figures import draw_regrets, pairs
from sevenfold.nas.studies.table import DIGITS
from sevenfold.ranges import Count, NonNegativeInt
from sevenfold.records import Record, summarize
from sevenfold.seeding import numpy_generator
from sevenfold.study import Context, Piece, Report, Section, Study, Table

POINTS = 60  # of a recorded curve
TEXT = (
    "Regret of the best finished training, in points of accuracy, with 95 % intervals of the mean. A search "
    "with extrapolation is compared with the same search without, trial by trial; the verdict is better or "
    "worse where the interval of the difference leaves out zero."
)


@dataclass(frozen=True)
class TrialPiece(Piece):
    """Trials of one search; trial i has the random stream i."""

    trials: tuple[int, ...]


class FilteredSearchStudy(Study[TrialPiece]):
    """Compare searches that stop trainings early, with the same budget of epochs in every trial.

    Trial i of random search meets networks in the same order with and without a filter; other algorithms
    begin alike.

    Args:
        searches: searches, name and options of each by the label it is reported under; null removes one that
            a base file brought in.
        budget: epochs of training that a trial may spend.
        filter: rule that stops trainings in all filtered searches without a ``filter`` of their own.
        benchmark: name and options of a benchmark with learning curves.
        run: number of the training run whose curves are used; null: run 0.
        seeds: trials of each search.
        block: trials in one piece of work.
    """

    devices = "cpu"
    running = ("regret",)

    def __init__(
        self,
        *,
        searches: dict[str, SearchNode | None],
        budget: Count = 15_000,
        filter: Filter = Filter(),
        benchmark: BenchmarkNode = DIGITS,
        run: NonNegativeInt | None = None,
        seeds: Count = 60,
        block: Count = 10,
    ) -> None:
        self.nodes = {label: node for label, node in searches.items() if node is not None}
        if not self.nodes:
            raise ConfigError("searches", "needs at least one")
        self.searches: dict[str, Search] = {}
        for label, node in self.nodes.items():
            shared = {"filter": filter} if node.get("name") == "filtered" and "filter" not in node else {}
            self.searches[label] = build(SEARCHES, node, f"searches.{label}", **shared)
        self.budget, self.benchmark, self.number = budget, benchmark, run
        self.seeds, self.block = seeds, block

    @cached_property
    def table(self) -> CurveTable:
        """The learning curves."""
        return open_curves(self.benchmark, self.number)

    def check(self) -> None:
        """Open the curves; compare every search and the budget with them."""
        for label, search in self.searches.items():
            with below(f"searches.{label}"):
                search.check(self.table)
        if self.budget < self.table.epochs:
            raise ConfigError("budget", f"{self.budget} epochs do not finish one of {self.table.epochs}")

    def plain(self, label: str) -> str | None:
        """Return the label of the same search without extrapolation."""
        search = self.searches[label]
        if not isinstance(search, Filtered) or search.lce is None:
            return None
        # What remains must be the same search, so that the two differ by extrapolation alone.
        bare = {key: value for key, value in self.nodes[label].items() if key not in ("lce", "filter")}
        same = (
            other
            for other, node in self.nodes.items()
            if {key: value for key, value in node.items() if key != "filter"} == bare
        )
        return next(same, None)

    def pieces(self) -> Sequence[TrialPiece]:
        """Return blocks of trials."""
        return [
            TrialPiece(tuple(f"{label}/{trial}" for trial in trials), label, trials)
            for label in self.searches
            for at in range(0, self.seeds, self.block)
            for trials in [tuple(range(at, min(at + self.block, self.seeds)))]
        ]

    def run(self, piece: TrialPiece, context: Context) -> list[Record]:
        """Search in every trial of a block."""
        plain = self.plain(piece.group)
        facts = {"group": piece.group, **({} if plain is None else {"plain": plain})}
        records = []
        for key, seed in zip(piece.keys, piece.trials, strict=True):
            # The same stream for every search: differences of pairs have less noise than those of means.
            stream = numpy_generator(seed, "lce search")
            trace = self.searches[piece.group].run(self.table, stream, self.budget)
            if not trace.promoted.any():
                raise ConfigError("budget", f"{self.budget} epochs do not finish one of {self.table.epochs}")
            records.append({"key": key, **facts, "seed": seed, **outcome(self.table, trace, self.budget)})
        return records

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return regrets, comparisons in pairs and regret against epochs spent."""
        regrets, cost = pairs(records, list(self.searches))
        picture = folder / "images/lce_search.png"
        if records:
            draw_regrets(records, picture)
        spent = Section("Trainings", ["Means over trials."], cost)
        columns = Section("Columns", [TEXT], regrets)
        table = [[row[i] for i in (0, 1, 2, 5, 6, 7)] for row in regrets]
        text = _verdict(regrets)
        return Report("Searches in pairs", table, text, [columns, spent], [picture], summarize(records))

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return two trials of 800 epochs on the embedded curves."""
        short = {**options.get("filter", {}), "seen": 4}
        return {**options, "filter": short, "seeds": 2, "budget": 800, "benchmark": DIGITS}


def _verdict(regrets: Table) -> list[str]:
    """Return how many searches extrapolation makes better or worse, and which has the lowest regret."""
    rows = regrets[1:]
    if not rows:
        return [TEXT]
    best = min(rows, key=lambda row: float(row[2].split()[0]))
    sentences = [f"{best[0]} has the lowest mean regret, {best[2]} points (95 % interval, {best[1]} trials)."]
    verdicts = [row[-1] for row in rows if row[-1] != "-"]
    if verdicts:
        better, worse = verdicts.count("better"), verdicts.count("worse")
        sentences.append(
            f"Of {len(verdicts)} searches with extrapolation {better} are better than the same without, "
            f"{worse} worse."
        )
    return sentences


def outcome(table: CurveTable, trace: Trace, budget: int) -> dict[str, Any]:
    """Return regrets at the end and along the search, and what was spent.

    ``regret`` is the distance of the best finished validation accuracy from the table's, ``test_regret`` that
    of the same network's test accuracy; ``observed_regret`` that of the network with the best accuracy seen
    at any epoch, finished or not, which is what the authors answer with. ``curve`` is the regret at epochs
    ``grid``, null before the first finished training.
    """
    ends = table.curves[:, -1]
    regret = ends.max() - trace.best
    finished = trace.rows[trace.promoted]
    winner = finished[ends[finished].argmax()]
    seen = [table.curves[row, :length].max() for row, length in zip(trace.rows, trace.lengths, strict=True)]
    numbers = {
        "regret": float(regret[-1]),
        "observed_regret": float(ends.max() - ends[trace.rows[np.argmax(seen)]]),
    }
    if table.test is not None:
        numbers["test_regret"] = float(np.nanmax(table.test) - table.test[winner])
    grid = np.linspace(budget / POINTS, budget, POINTS)
    place = np.searchsorted(trace.epochs, grid, side="right") - 1
    curve = np.where(place >= 0, regret[place], np.inf)
    return {
        **numbers,
        "trainings": len(trace.epochs),
        "finished": int(trace.promoted.sum()),
        "epochs": float(trace.epochs[-1]),
        "grid": grid.round(1).tolist(),
        "curve": [round(value, 4) if np.isfinite(value) else None for value in curve.tolist()],
    }
