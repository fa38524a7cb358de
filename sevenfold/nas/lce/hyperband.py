"""Hyperband (Li et al. 2018)."""

import math
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from sevenfold.config import ConfigError
from sevenfold.nas.lce.filtered import Log, Trace
from sevenfold.nas.lce.multifidelity import Search
from sevenfold.nas.lce.tables import CurveTable
from sevenfold.ranges import AtLeastTwo, Count


class Rung(NamedTuple):
    """How many networks are trained until which epoch."""

    networks: int
    epochs: int


def brackets(eta: int, least: int, most: int) -> list[list[Rung]]:
    """Return the rungs of every bracket, s = s_max..0.

    >>> [tuple(bracket[0]) for bracket in brackets(3, 4, 108)]
    [(27, 4), (12, 12), (6, 36), (4, 108)]
    """
    s_max = int(math.log(most / least) / math.log(eta) + 1e-9)
    all_rungs = []
    for s in range(s_max, -1, -1):
        # Li et al. 2018, algorithm 1: n = ceil((s_max + 1) / (s + 1) eta^s) networks, r = R eta^(-s) epochs.
        count = math.ceil((s_max + 1) / (s + 1) * eta**s)
        all_rungs.append([Rung(count // eta**i, round(most * float(eta) ** (i - s))) for i in range(s + 1)])
    return all_rungs


class Hyperband(Search):
    """Brackets of successive halving in turn, networks drawn at random without repeats.

    Args:
        eta: factor between the epochs of two rungs; one in ``eta`` networks of a rung is promoted.
        least: epochs of the lowest rung; the highest is the whole schedule.
        resume: let a training go on where it stopped; otherwise every rung trains from scratch, at full cost.
    """

    def __init__(self, *, eta: AtLeastTwo = 3, least: Count = 4, resume: bool = True) -> None:
        self.eta, self.least, self.resume = eta, least, resume

    def check(self, table: CurveTable) -> None:
        """Compare the lowest rung with the length of curves."""
        if self.least > table.epochs:
            raise ConfigError("least", f"is {self.least}; the table has {table.epochs} epochs")

    def draw(self, table: CurveTable, stream: Generator, count: int, taken: set[int]) -> list[int]:
        """Return rows that were not trained yet."""
        free = np.setdiff1d(np.arange(len(table.curves)), list(taken))
        return stream.permutation(free)[:count].tolist()

    def learn(self, table: CurveTable, row: int, epochs: int) -> None:
        """Take note of a result; random draws do not."""

    def run(self, table: CurveTable, stream: Generator, budget: int) -> Trace:
        """Go through the brackets again and again."""
        log, taken = Log(table), set[int]()
        plan = brackets(self.eta, self.least, table.epochs)
        bracket = 0
        while self._bracket(table, stream, log, taken, plan[bracket % len(plan)], budget):
            bracket += 1
        return log.trace()

    def _bracket(
        self, table: CurveTable, stream: Generator, log: Log, taken: set[int], rungs: list[Rung], budget: int
    ) -> bool:
        """Run one bracket; return False when the budget or the table ended within it."""
        rows: list[int] = []
        paid = 0
        for place, rung in enumerate(rungs):
            if place == 0:
                rows = []
            else:
                # The rung before decides: only epochs that have been paid for may be looked at.
                rows = sorted(rows, key=lambda row: -table.curves[row, paid - 1])[: rung.networks]
            for k in range(rung.networks):
                if place == 0:
                    drawn = self.draw(table, stream, 1, taken)
                    taken.update(drawn)
                    rows += drawn
                before = paid if self.resume else 0
                if k >= len(rows) or log.spent + rung.epochs - before > budget:
                    return False
                log.book(rows[k], rung.epochs, paid=before)
                self.learn(table, rows[k], rung.epochs)
            paid = rung.epochs
        return True
