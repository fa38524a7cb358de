"""Random search that trains to the end only what an extrapolator thinks promising."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from sevenfold.config import ConfigError
from sevenfold.nas.lce.base import Extrapolator, Floats, Seen
from sevenfold.nas.lce.tables import CurveTable


@dataclass(frozen=True)
class Filter:
    """Say how a search filters.

    The first ``initial`` trainings run to the end. Each later one runs ``seen`` epochs and is promoted if its
    predicted accuracy at epoch ``target`` (default: half the schedule) is among the ``top`` fraction of those
    finished. The extrapolator learns again whenever the finished trainings have grown by ``growth``.
    """

    seen: int = 20
    initial: int = 20
    top: float = 0.5
    target: int | None = None
    growth: float = 0.25

    def __post_init__(self) -> None:
        if self.seen < 1 or self.initial < 5 or not 0 < self.top <= 1 or self.growth <= 0:
            raise ConfigError(
                "initial", f"needs seen >= 1, initial >= 5, top in (0, 1] and growth > 0, got {self}"
            )

    def end(self, epochs: int) -> int:
        """Return the epoch that is predicted; ``ConfigError`` where it does not lie ahead."""
        end = epochs // 2 if self.target is None else self.target
        if not self.seen <= end <= epochs:
            raise ConfigError("target", f"is {end}; expected within [{self.seen}, {epochs}]")
        return end


class Trace(NamedTuple):
    """Of each training in turn: epochs spent until then, the best finished accuracy, whether promoted."""

    epochs: Floats
    best: Floats
    promoted: np.ndarray


def plain_search(table: CurveTable, stream: Generator, *, budget: int) -> Trace:
    """Train at random, everything to the end, until ``budget`` epochs are spent."""
    count = min(budget // table.epochs, len(table.curves))
    values = table.curves[stream.permutation(len(table.curves))[:count], -1]
    spent = table.epochs * np.arange(1.0, count + 1)
    return Trace(spent, np.maximum.accumulate(values), np.ones(count, bool))


def filtered_search(
    table: CurveTable, extrapolator: Extrapolator, how: Filter, stream: Generator, *, budget: int
) -> Trace:
    """Train at random behind a filter: one that is refused costs ``how.seen`` epochs, another the whole
    schedule once, never both; none is begun that the budget would not let finish.
    """
    end, whole = how.end(table.epochs), table.epochs
    order = stream.permutation(len(table.curves))
    finished = list(order[: how.initial])
    spent, costs, kept, learned_from = 0, [], [], 0
    threshold = 0.0
    for place, row in enumerate(order):
        if spent + whole > budget:
            break
        promoted = place < how.initial
        if not promoted:
            if len(finished) >= (1 + how.growth) * learned_from:
                losses = None if table.losses is None else table.losses[finished]
                extrapolator.fit(table.curves[finished], losses, seen=how.seen, end=end, stream=stream)
                learned_from = len(finished)
            threshold = float(np.quantile(table.curves[finished, end - 1], 1 - how.top))
            start: Seen = table.seen(np.array([row]), how.seen)
            promoted = bool(extrapolator.predict(start)[0] >= threshold)
            finished += [row] if promoted else []
        spent += whole if promoted else how.seen
        costs.append(spent)
        kept.append(promoted)
    done = np.array(kept, bool)
    values = np.where(done, table.curves[order[: len(kept)], -1], -np.inf)
    return Trace(np.array(costs, float), np.maximum.accumulate(values), done)
