"""Any search algorithm, with or without a filter on predicted final accuracies."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.random import Generator

from sevenfold.config import build, named
from sevenfold.nas.algorithms import ALGORITHMS, AlgorithmNode
from sevenfold.nas.algorithms.base import Algorithm
from sevenfold.nas.lce import EXTRAPOLATORS, ExtrapolatorNode
from sevenfold.nas.lce.filtered import Filter, Gate, Log, Trace, filtered_search, plain_search
from sevenfold.nas.lce.tables import CurveTable
from sevenfold.ranges import Checked

RANDOM = {"name": "random"}


class Search(Checked, ABC):
    """The contract of every entry of ``SEARCHES``."""

    def check(self, table: CurveTable) -> None:  # noqa: B027  (most fit any table)
        """Raise ``ConfigError`` where the options do not fit a table."""

    @abstractmethod
    def run(self, table: CurveTable, stream: Generator, budget: int) -> Trace:
        """Train until ``budget`` epochs are spent; none is started that the budget could not finish."""


class Filtered(Search):
    """A search algorithm that trains only those networks to the end that pass a filter.

    The algorithm learns the losses of finished trainings only: refused networks cost their first epochs and
    leave its state as it was (a population does not age, a neighbor does not count). Restarts of local search
    pass the filter too. Networks without a curve in the table cost nothing and are not evaluated.

    Args:
        algorithm: name and options of the search algorithm.
        lce: name and options of the extrapolator that predicts accuracies; null: no filter, every training
            runs to the end.
        filter: rule that stops trainings.
    """

    def __init__(
        self,
        *,
        algorithm: AlgorithmNode = RANDOM,
        lce: ExtrapolatorNode | None = None,
        filter: Filter = Filter(),
    ) -> None:
        named(ALGORITHMS, algorithm, "algorithm")
        if lce is not None:
            build(EXTRAPOLATORS, lce, "lce")
        self.algorithm, self.lce, self.filter = algorithm, lce, filter

    def check(self, table: CurveTable) -> None:
        """Build the algorithm once; compare the filter with the length of curves."""
        self.filter.end(table.epochs)
        self._algorithm(table, np.random.default_rng(0))

    def _algorithm(self, table: CurveTable, stream: Generator) -> Algorithm:
        algorithm: Algorithm = build(ALGORITHMS, self.algorithm, "algorithm", space=table.space, rng=stream)
        return algorithm

    def run(self, table: CurveTable, stream: Generator, budget: int) -> Trace:
        """Search; random search meets networks in the same order with and without a filter."""
        if self.algorithm == RANDOM:
            if self.lce is None:
                return plain_search(table, stream, budget=budget)
            extrapolator = build(EXTRAPOLATORS, self.lce, "lce")
            return filtered_search(table, extrapolator, self.filter, stream, budget=budget)
        # Any single-fidelity algorithm becomes multi-fidelity by extrapolation (Yan et al. 2021).
        gate = None
        if self.lce is not None:
            own = np.random.default_rng(stream.integers(2**63))
            gate = Gate(table, build(EXTRAPOLATORS, self.lce, "lce"), self.filter, own)
        else:
            stream.integers(2**63)  # so that the first trainings are those of the search with a filter
        return self._search(table, self._algorithm(table, stream), gate, budget)

    def _search(self, table: CurveTable, algorithm: Algorithm, gate: Gate | None, budget: int) -> Trace:
        log, started, idle = Log(table), 0, 0
        while log.spent + table.epochs <= budget and idle < len(table.curves):
            archs = algorithm.ask(algorithm.at_once())
            if not len(archs):
                break
            idle, answers = idle + 1, []
            for place, row in enumerate(table.rows(archs)):
                if row is None or log.spent + table.epochs > budget:
                    continue
                idle, started = 0, started + 1
                passed = gate is None or started <= self.filter.initial or gate.passes(row)
                log.book(row, table.epochs if passed else self.filter.seen)
                if passed:
                    answers.append((place, 100 - table.curves[row, -1]))
                    if gate is not None:
                        gate.finished.append(row)
            algorithm.tell(archs[[place for place, _ in answers]], [loss for _, loss in answers])
        return log.trace()
