"""How well the first epochs of trainings predict the ranking of their final accuracies."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from sevenfold.config import ConfigError, build
from sevenfold.nas.benchmarks import BENCHMARKS, BenchmarkNode
from sevenfold.nas.lce import EXTRAPOLATORS, ExtrapolatorNode
from sevenfold.nas.lce.study import trial
from sevenfold.nas.lce.tables import CurveTable, curve_table
from sevenfold.nas.studies.lce_figures import draw_taus
from sevenfold.nas.studies.table import DIGITS
from sevenfold.ranges import MOST, Count, NonNegativeInt, Percent, Range
from sevenfold.records import Record, summarize
from sevenfold.report import format_value
from sevenfold.study import Context, Piece, Report, Section, Study, Table

TEXT = (
    "Kendall's tau between predicted and true final accuracy of curves that no extrapolator was fitted to: "
    "means over draws, the standard deviation in brackets; one column for each number of epochs seen."
)
TRIVIAL = ("last", "best", "mean_last")  # extrapolators that learn nothing
DENSITIES = (
    "Mean negative log density of the ends, nats in the curves' unit (less is better), then the share of "
    "ends in the density's middle 80 % (.8 is right). Extrapolators without a density are left out."
)
ALIVE = "The same for the trainings that end above chance: failed ones make ranking easy."


@dataclass(frozen=True)
class ExtrapolatorPiece(Piece):
    """One extrapolator after ``seen`` epochs, all draws."""

    label: str
    seen: int


class ExtrapolationStudy(Study[ExtrapolatorPiece]):
    """Compare how well extrapolators rank trainings by their final accuracy after a few epochs.

    Args:
        extrapolators: extrapolators, name and options of each by the label it is reported under; null
            removes one that a base file brought in.
        seen: numbers of epochs after which the final accuracy is predicted.
        benchmark: name and options of a benchmark with learning curves.
        series: series of the benchmark whose curves are used; a loss is negated, so that more is better.
        run: number of the training run whose curves are used; null: run 0.
        train: curves to learn from; 0 for extrapolators that need none.
        test: curves to score on.
        seeds: draws of training and test curves, numbered from 0; the same for all extrapolators.
        chance: accuracy of guessing, percent; trainings that end above it are also scored separately. Has no
            effect on series other than accuracies.
    """

    devices = "cpu"
    running = ("tau",)

    def __init__(
        self,
        *,
        extrapolators: dict[str, ExtrapolatorNode | None],
        seen: list[Count],
        benchmark: BenchmarkNode = DIGITS,
        series: str = "val/acc",
        run: NonNegativeInt | None = None,
        train: NonNegativeInt = 100,
        test: Annotated[int, Range(5, MOST)] = 500,
        seeds: Count = 10,
        chance: Percent = 10.0,
    ) -> None:
        self.extrapolators = {label: node for label, node in extrapolators.items() if node is not None}
        for label, node in self.extrapolators.items():
            needs = build(EXTRAPOLATORS, node, f"extrapolators.{label}").fewest
            if train < needs:
                raise ConfigError("train", f"'{label}' needs at least {needs} known curves, got {train}")
        if not self.extrapolators:
            raise ConfigError("extrapolators", "needs at least one")
        self.seen, self.benchmark, self.number, self.seeds = seen, benchmark, run, seeds
        self.series, self.train, self.test = series, train, test
        self.chance = chance if series.endswith("/acc") else -math.inf

    @cached_property
    def table(self) -> CurveTable:
        """The learning curves."""
        return open_curves(self.benchmark, self.number, self.series)

    def check(self) -> None:
        """Open the curves; compare them with the options."""
        if not self.seen or min(self.seen) < 1 or max(self.seen) >= self.table.epochs:
            raise ConfigError("seen", f"must be within [1, {self.table.epochs - 1}], got {self.seen}")
        if self.train + self.test > len(self.table.curves):
            sizes = f"train {self.train} + test {self.test}"
            raise ConfigError("train", f"{sizes}: the benchmark has {len(self.table.curves)} curves")

    def pieces(self) -> Sequence[ExtrapolatorPiece]:
        """Return the pairs of an extrapolator and a number of epochs."""
        return [
            ExtrapolatorPiece(tuple(f"{group}/{seed}" for seed in range(self.seeds)), group, label, seen)
            for label in self.extrapolators
            for seen in self.seen
            for group in [f"{label}/{seen}"]
        ]

    def run(self, piece: ExtrapolatorPiece, context: Context) -> list[Record]:
        """Score the extrapolator on every draw."""
        sizes = {"seen": piece.seen, "train": self.train, "test": self.test, "chance": self.chance}
        records = []
        for seed, key in enumerate(piece.keys):
            extrapolator = build(EXTRAPOLATORS, self.extrapolators[piece.label], "extrapolator")
            scores = trial(self.table, extrapolator, seed=seed, **sizes)  # type: ignore[arg-type]
            records.append({"key": key, "group": piece.group, "seed": seed, "seen": piece.seen, **scores})
        return records

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return rank correlations by extrapolator and epochs seen, and their picture."""
        numbers, picture = summarize(records), folder / "images/lce_study.png"
        if records:
            draw_taus(records, list(self.extrapolators), picture)
        alive = Section("Trainings that end above chance", [ALIVE], self._table(numbers, "alive_tau"))
        title = "Ranking by the first epochs"
        sections = [Section("Columns", [TEXT]), alive, *self._densities(numbers)]
        text = self._verdict(numbers) if records else [TEXT]
        return Report(title, self._table(numbers, "tau"), text, sections, [picture], numbers)

    def _verdict(self, numbers: Mapping[str, float]) -> list[str]:
        """Return which extrapolator ranks best by the fewest and by the most epochs, beside the baselines."""
        sentences = []
        for seen in dict.fromkeys((min(self.seen), max(self.seen))):
            taus = {label: numbers.get(f"{label}/{seen}/tau/mean") for label in self.extrapolators}
            known = {label: tau for label, tau in taus.items() if tau is not None}
            if not known:
                continue
            best = max(known, key=known.__getitem__)
            text = f"From {seen} epochs {best} ranks best: tau {_cell(numbers, f'{best}/{seen}/tau')}"
            trivial = [x for x in known if self.extrapolators[x]["name"] in TRIVIAL and x != best]
            if trivial:
                base = max(trivial, key=known.__getitem__)
                text += f"; the best trivial baseline, {base}, has {_cell(numbers, f'{base}/{seen}/tau')}"
            sentences.append(text + ".")
        return sentences

    def _densities(self, numbers: Mapping[str, float]) -> list[Section]:
        """Return how well densities predict, where any extrapolator gives one."""
        head, *densities = self._table(numbers, "nll")
        _, *shares = self._table(numbers, "cover80")
        shares = [[f"{label}, in the middle 80 %", *cells] for label, *cells in shares]
        rows = [row for row in [*densities, *shares] if any(cell != "-" for cell in row[1:])]
        if not rows:
            return []
        return [Section("Densities of the end", [DENSITIES], [head, *rows])]

    def _table(self, numbers: Mapping[str, float], field: str) -> Table:
        shown = sorted(self.seen)[:7]
        rows = [["extrapolator", *(f"{seen} epochs" for seen in shown)]]
        for label in self.extrapolators:
            rows.append([label, *(_cell(numbers, f"{label}/{seen}/{field}") for seen in shown)])
        return rows

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return one draw after four epochs of the embedded curves."""
        return {**options, "seen": [4], "seeds": 1, "test": 100, "benchmark": DIGITS}


def open_curves(benchmark: Mapping[str, Any], number: int | None, series: str = "val/acc") -> CurveTable:
    """Open the learning curves of a benchmark, those of one training run (None: run 0)."""
    return curve_table(build(BENCHMARKS, benchmark, "benchmark"), seed=number, series=series)


def _cell(numbers: Mapping[str, float], name: str) -> str:
    mean, deviation = numbers.get(f"{name}/mean"), numbers.get(f"{name}/std")
    return format_value(mean) + (f" ({deviation:.2g})" if deviation is not None else "")
