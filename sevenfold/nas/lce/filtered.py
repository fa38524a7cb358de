"""Random search that trains only those networks to the end that an extrapolator predicts to be good."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.config import ConfigError
from sevenfold.nas.lce.base import Extrapolator, Floats
from sevenfold.nas.lce.tables import CurveTable
from sevenfold.ranges import MOST, Count, Positive, PositiveShare, Range


# Predictive termination (Domhan, Springenberg and Hutter 2015) within a search (Yan et al. 2021).
@dataclass(frozen=True)
class Filter:
    """Rule that stops trainings whose predicted accuracy is not among the best of the finished ones.

    Args:
        seen: epochs after which a training is stopped or finished.
        initial: first trainings, which all run to the end.
        top: share of the finished trainings among which the predicted accuracy must be.
        target: epoch whose accuracy is predicted and compared; null: half of the schedule.
        growth: relative growth of the number of finished trainings after which the extrapolator learns again.
    """

    seen: Count = 20
    initial: Annotated[int, Range(5, MOST)] = 20
    top: PositiveShare = 0.5
    target: Count | None = None
    growth: Positive = 0.25

    def end(self, epochs: int) -> int:
        """Return the epoch that is predicted; ``ConfigError`` where it does not lie ahead."""
        end = epochs // 2 if self.target is None else self.target
        if not self.seen <= end <= epochs:
            raise ConfigError("target", f"is {end}; expected within [{self.seen}, {epochs}]")
        return end


class Trace(NamedTuple):
    """Of each training in turn: epochs spent until then, the best finished accuracy (-inf before the first),
    whether it ran to the end, and what was trained, as a row of the table, for how many epochs.
    """

    epochs: Floats
    best: Floats
    promoted: NDArray[np.bool_]
    rows: NDArray[np.intp]
    lengths: NDArray[np.intp]


class Log:
    """Record of the trainings of a search and their cost, one after another."""

    def __init__(self, table: CurveTable) -> None:
        self.table, self.spent = table, 0
        self._costs: list[int] = []
        self._rows: list[int] = []
        self._lengths: list[int] = []

    def book(self, row: int, length: int, *, paid: int = 0) -> None:
        """Add a training of ``length`` epochs, the first ``paid`` of which were paid before."""
        self.spent += length - paid
        self._costs.append(self.spent)
        self._rows.append(row)
        self._lengths.append(length)

    def trace(self) -> Trace:
        """Return all trainings."""
        rows, lengths = np.array(self._rows, np.intp), np.array(self._lengths, np.intp)
        done = lengths == self.table.epochs
        values = np.where(done, self.table.curves[rows, -1], -np.inf) if len(rows) else np.zeros(0)
        return Trace(np.array(self._costs, float), np.maximum.accumulate(values), done, rows, lengths)


class Gate:
    """Decides which trainings go on, and learns from those that did."""

    def __init__(self, table: CurveTable, extrapolator: Extrapolator, how: Filter, stream: Generator) -> None:
        self.table, self.extrapolator, self.how, self.stream = table, extrapolator, how, stream
        self.end, self.finished, self._learned_from = how.end(table.epochs), list[int](), 0
        self._predicted: dict[int, float] = {}

    def passes(self, row: int, upcoming: Sequence[int] = ()) -> bool:
        """Return whether a training whose first epochs were seen is finished; ``upcoming`` may be next."""
        if len(self.finished) >= (1 + self.how.growth) * self._learned_from:
            losses = None if self.table.losses is None else self.table.losses[self.finished]
            curves = self.table.curves[self.finished]
            self.extrapolator.fit(curves, losses, seen=self.how.seen, end=self.end, stream=self.stream)
            self._learned_from = len(self.finished)
            self._predicted.clear()
        if row not in self._predicted:
            rows = np.array([row, *upcoming], np.intp)
            predicted = self.extrapolator.predict(self.table.seen(rows, self.how.seen)).tolist()
            self._predicted.update(zip(rows.tolist(), predicted, strict=True))
        threshold = np.quantile(self.table.curves[self.finished, self.end - 1], 1 - self.how.top)
        return bool(self._predicted[row] >= threshold)


def plain_search(table: CurveTable, stream: Generator, *, budget: int) -> Trace:
    """Train at random, everything to the end, until ``budget`` epochs are spent."""
    log = Log(table)
    for row in stream.permutation(len(table.curves))[: budget // table.epochs]:
        log.book(int(row), table.epochs)
    return log.trace()


AHEAD = 64  # trainings that are predicted at once


def filtered_search(
    table: CurveTable, extrapolator: Extrapolator, how: Filter, stream: Generator, *, budget: int
) -> Trace:
    """Train at random behind a filter: one that is refused costs ``how.seen`` epochs, another the whole
    schedule once, never both; none is started that the budget could not finish.
    """
    order = stream.permutation(len(table.curves)).tolist()
    gate, log = Gate(table, extrapolator, how, stream), Log(table)
    for place, row in enumerate(order):
        if log.spent + table.epochs > budget:
            break
        passed = place < how.initial or gate.passes(row, order[place + 1 : place + AHEAD])
        gate.finished += [row] if passed else []
        log.book(row, table.epochs if passed else how.seen)
    return log.trace()
