"""What fewer trainings an architecture do to a landscape and to searches, judged by all trainings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sevenfold.config import ConfigError
from sevenfold.nas.algorithms import AlgorithmNode
from sevenfold.nas.algorithms.objective import Objective
from sevenfold.nas.algorithms.run import run_trials, start_trials
from sevenfold.nas.benchmarks import BenchmarkNode
from sevenfold.nas.landscape.climb import Neighbors, climb, neighbors, strict_minima
from sevenfold.nas.landscape.levels import draw_level
from sevenfold.nas.landscape.noise import retraining_noise
from sevenfold.nas.spaces.base import Enumerable, Ints
from sevenfold.nas.studies.noise_figures import draw_levels
from sevenfold.nas.studies.search_summary import by_group
from sevenfold.nas.studies.table import DIGITS, Loss, open_table
from sevenfold.ranges import Count, NonNegativeInt
from sevenfold.records import Record
from sevenfold.report import format_value
from sevenfold.seeding import numpy_generator
from sevenfold.study import Context, Piece, Report, Section, Study, Table

LANDSCAPE = (
    "minima", "strict_minima", "share_to_optimum", "steps_mean", "gap_mean", "gap_median",
    "share_to_true_optimum", "optimum_gap",
)  # fmt: skip
SHOWN = ("minima", "share_to_optimum", "gap_mean", "share_to_true_optimum", "optimum_gap")
SEARCH = ("true_regret", "own_regret")
TEXT = (
    "Level: trainings of each architecture that the searched table averages, chosen anew in every draw. "
    "Minima, starts that reach the table's own optimum and steps are those of the searched table; gaps and "
    "the true optimum are judged by {judge}. Means over draws, their standard deviation in brackets."
)
JUDGES = {
    "truth": "the mean of all trainings, which contains those that were searched",
    "held_out": "the mean of the trainings that were not searched",
}


@dataclass(frozen=True)
class Level(Piece):
    """One level: landscapes of some draws, or trials of the algorithm ``label`` on one draw each."""

    level: int | None
    numbers: tuple[int, ...]
    label: str | None = None


class NoiseLandscapeStudy(Study[Level]):
    """Compare landscapes and searches of tables with one, two or all trainings an architecture.

    In each draw every architecture has its own random choice of trainings. All draws and trials of number i
    have the same streams, so that levels and algorithms are compared in pairs. The direction was published
    by White, Nolen and Savani 2021 (section 5) for added noise; here it is that of real trainings.

    Args:
        benchmark: name and options of a benchmark with several trainings an architecture that can be listed.
        path: a table file instead of the benchmark; null: the benchmark.
        dataset: data set of the benchmark or file; null: the only one.
        objective: the loss whose landscape is described; its option ``seed`` has no effect.
        levels: trainings taken of each architecture; 0 stands for all.
        draws: draws of each level, of which all trainings need one only.
        judge: ``truth``, the mean of all trainings, or ``held_out``, the mean of those that are not taken.
        algorithms: search algorithms, by label; null removes one that a base file brought in.
        budget: evaluations in each trial.
        trials: trials of each algorithm at each level, each on a draw that belongs to its number.

    >>> from sevenfold.nas import NoiseLandscapeStudy
    >>> records = NoiseLandscapeStudy(levels=[1, 0], draws=2).run_all()
    >>> [(record["key"], record["minima"]) for record in records if record["level"] == "all"]
    [('all/landscape/00000', 90)]
    """

    devices = "cpu"
    timing = ("searcher_seconds",)

    def __init__(
        self,
        *,
        benchmark: BenchmarkNode = DIGITS,
        path: str | None = None,
        dataset: str | None = None,
        objective: Loss = Loss(),
        levels: list[NonNegativeInt] = [1, 2, 0],  # noqa: B006 (never changed)
        draws: Count = 5,
        judge: Literal["truth", "held_out"] = "truth",
        algorithms: dict[str, AlgorithmNode | None] = {},  # noqa: B006 (never changed)
        budget: Count = 150,
        trials: Count = 20,
    ) -> None:
        if not levels or len(set(levels)) < len(levels):
            raise ConfigError("levels", f"must name different levels, got {levels}")
        if judge == "held_out" and 0 in levels:
            raise ConfigError("levels", "with judge: held_out, all trainings (0) leave none to judge by")
        self.benchmark, self.path, self.dataset, self.loss = benchmark, path, dataset, objective
        if "landscape" in algorithms:
            raise ConfigError("algorithms", "'landscape' is a group of this study; take another label")
        self.levels, self.draws, self.judge = [level or None for level in levels], draws, judge
        self.algorithms = {label: node for label, node in algorithms.items() if node is not None}
        self.budget, self.trials = budget, trials

    @cached_property
    def objective(self) -> Objective:
        """The loss that is minimized."""
        return self.loss.of(open_table(self.benchmark, self.path, self.dataset))

    @cached_property
    def space(self) -> Enumerable:
        """The space, whose architectures have numbers."""
        space = self.objective.benchmark.space
        if not isinstance(space, Enumerable) or space.size is None:
            raise ConfigError("benchmark", f"a landscape needs a space that can be listed, not {space!r}")
        return space

    @cached_property
    def runs(self) -> NDArray[np.float64]:
        """The losses of all trainings, (n, seeds)."""
        return self.objective.runs(self.space.archs(np.arange(self.space.size or 0)))

    @cached_property
    def near(self) -> Neighbors:
        """The neighborhood graph."""
        return neighbors(self.space)

    def check(self) -> None:
        """Open the table and start every algorithm once."""
        if self.runs.shape[1] < 2:
            raise ConfigError("benchmark", f"{self.objective.benchmark.dataset} has one training a cell only")
        if wrong := [level for level in self.levels if level is not None and level >= self.runs.shape[1]]:
            raise ConfigError(
                "levels", f"{wrong[0]} of {self.runs.shape[1]} trainings is no choice; all are level 0"
            )
        for label, node in self.algorithms.items():
            start_trials(node, self.space, [np.random.default_rng(0)], f"algorithms.{label}")

    def pieces(self) -> Sequence[Level]:
        """Return the landscapes of each level, then the trials of each algorithm on it."""
        pieces = []
        for level in self.levels:
            name = "all" if level is None else str(level)
            draws = range(1 if level is None else self.draws)
            pieces += [Level((f"{name}/landscape/{i:05d}",), f"{name}/landscape", level, (i,)) for i in draws]
            for label in self.algorithms:
                trials = tuple(range(self.trials))
                keys = tuple(f"{name}/{label}/{i:05d}" for i in trials)
                pieces.append(Level(keys, f"{name}/{label}", level, trials, label))
        return pieces

    def run(self, piece: Level, context: Context) -> list[Record]:
        """Describe a draw's landscape, or search draws."""
        records = []
        for key, number in zip(piece.keys, piece.numbers, strict=True):
            # By number alone: draw i of one training is the beginning of draw i of two.
            stream = numpy_generator(context.seed, "nas noise draw", number)
            draw = draw_level(self.runs, piece.level, stream, held_out=self.judge == "held_out")
            level = piece.group.partition("/")[0]
            facts: dict[str, Any] = {"key": key, "group": piece.group, "level": level}
            if piece.label is None:
                climbs = climb(draw.own, self.near)
                facts |= {**climbs.measures(), "strict_minima": len(strict_minima(draw.own, self.near))}
                facts |= {**draw.judged(climbs), **self._deviations()}
            else:
                facts |= {"algorithm": piece.label, "trial": number, "budget": self.budget}
                facts |= self._search(piece.label, number, draw.own, draw.judge, context.seed)
            records.append(facts)
        return records

    def _deviations(self) -> dict[str, float]:
        """Return the deviation between trainings, pooled (collapsed ones carry it) and at the median."""
        several = self.runs[(~np.isnan(self.runs)).sum(axis=1) > 1]
        median = np.median(np.nanstd(several, axis=1, ddof=1))
        return {"deviation_pooled": retraining_noise(self.runs), "deviation_median": float(median)}

    def _search(
        self, label: str, trial: int, own: NDArray[np.float64], judge: NDArray[np.float64], seed: int
    ) -> dict[str, float]:
        def losses(archs: Ints) -> NDArray[np.float64]:
            return own[self.space.index(archs)]

        streams = [numpy_generator(seed, "nas trial", trial)]
        trials = start_trials(self.algorithms[label], self.space, streams)
        (trace,) = run_trials(trials, losses, budget=self.budget)
        best = self.space.index(trace.archs[[trace.losses.argmin()]])[0]
        return {
            "own_regret": float(own[best] - own.min()),
            "true_regret": float(judge[best] - np.nanmin(judge)),
            "searcher_seconds": trace.searcher_seconds,
        }

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return one row a level, and one an algorithm and level."""
        groups = by_group(records, [piece.group for piece in self.pieces()])
        numbers = {
            f"{group}/{field}/mean": float(np.nanmean([record[field] for record in rows]))
            for group, rows in groups.items()
            for field in (*LANDSCAPE, *SEARCH)
            if field in rows[0]
        }
        numbers |= {f"{group}/draws": len(rows) for group, rows in groups.items()}
        levels = {name: rows for name, rows in groups.items() if name.endswith("/landscape")}
        searches = {name: rows for name, rows in groups.items() if name not in levels}
        text = TEXT.format(judge=JUDGES[self.judge])
        sections = [Section("Columns", [text])]
        if searches:
            rows = [["level", "algorithm", "trials", *(f.replace("_", " ") for f in SEARCH)]]
            for name, some in searches.items():
                cells = [_spread([r[field] for r in some], of_mean=True) for field in SEARCH]
                rows.append([*name.split("/", 1), str(len(some)), *cells])
            sections.append(Section("Searches", ["Means over trials, standard errors in brackets."], rows))
        sections.insert(0, Section("Every measure", [], _table(levels, LANDSCAPE)))
        table = _table(levels, SHOWN)
        pictures = [draw_levels(folder / "images" / "levels.png", levels)] if levels else []
        return Report("Noise of training", table, _verdict(levels), sections, pictures, numbers)

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return two draws of the embedded table and two short trials."""
        small = {**options, "draws": 2, "trials": 2, "budget": 20, "path": None, "dataset": None}
        return {**small, "benchmark": DIGITS}


def _table(levels: Mapping[str, Sequence[Record]], fields: Sequence[str]) -> Table:
    """Return one row a level with its mean measures."""
    rows = [["level", "draws", *(field.replace("_", " ") for field in fields)]]
    for name, records in levels.items():
        cells = [_spread([record[field] for record in records]) for field in fields]
        rows.append([name.partition("/")[0], str(len(records)), *cells])
    return rows


def _spread(values: Sequence[float], *, of_mean: bool = False) -> str:
    """Return a mean with the standard deviation, or that of the mean, in brackets."""
    if len(values) < 2:
        return format_value(values[0])
    deviation = np.nanstd(values, ddof=1) / (len(values) ** 0.5 if of_mean else 1)
    return f"{np.nanmean(values):.3g} ({deviation:.2g})"


def _verdict(levels: Mapping[str, Sequence[Record]]) -> list[str]:
    """Return a sentence on the first and the last level."""
    if len(levels) < 2:
        return []
    first, *_, last = levels.items()
    parts = []
    for name, records in (first, last):
        minima, gap = (np.mean([record[field] for record in records]) for field in ("minima", "gap_mean"))
        level = name.partition("/")[0]
        trainings = {"all": "all its trainings", "1": "one training"}.get(level, f"{level} trainings")
        parts.append(
            f"judged by {trainings} of each architecture the landscape has {minima:.0f} local minima,"
            f" and climbs end {gap:.3g} above the best"
        )
    return [f"{parts[0].capitalize()}; {parts[1]}."]
