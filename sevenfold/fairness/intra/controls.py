"""Controls of every comparison: the network as it is, its threshold moved, everybody treated alike."""

import dataclasses
import math

import torch

from sevenfold.fairness.intra.base import DebiasingResult, Incumbent, Method, Problem, figures_at


class Base(Method):
    """The network as it is, at the threshold of best performance without any constraint."""

    def search(self, problem: Problem) -> DebiasingResult:
        """Move the threshold for performance alone."""
        free = dataclasses.replace(problem.objective, kind="constrained", epsilon=1e9, margin=0.0)
        scores = problem.scores()
        best = dataclasses.replace(problem, objective=free).best(scores[None])
        figures = figures_at(problem, scores, float(best.threshold[0]))
        return problem.result(problem.state(), figures, trace=[])


class ThresholdOnly(Method):
    """The network as it is, at the threshold of the best objective."""

    def search(self, problem: Problem) -> DebiasingResult:
        """Take candidate 0."""
        return Incumbent(problem).result()


class Constant(Method):
    """Everybody gets the more frequent label: no bias, no use; what a result must be told from."""

    def search(self, problem: Problem) -> DebiasingResult:
        """Look at the labels alone."""
        threshold = -math.inf if problem.y.double().mean() > 0.5 else math.inf
        figures = figures_at(problem, torch.zeros(len(problem.y), device=problem.y.device), threshold)
        return problem.result(problem.state(), figures, trace=[])
