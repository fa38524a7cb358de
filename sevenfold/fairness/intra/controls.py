"""Controls of every comparison: the unchanged network, a moved threshold, and a constant decision."""

import dataclasses
import math

import torch

from sevenfold.fairness.intra.base import DebiasingResult, Incumbent, Method, Problem, figures_at


class Base(Method):
    """The unchanged network, at the threshold of best performance without any constraint."""

    any_groups = True

    def search(self, problem: Problem) -> DebiasingResult:
        """Choose the threshold for performance alone."""
        # tau = argmax rho(1[s > tau], y): the row "default" of Savani et al. 2020
        free = problem.objective.free
        scores = problem.scores()
        best = dataclasses.replace(problem, objective=free).best(scores[None])
        figures = figures_at(problem, scores, float(best.threshold[0]))
        return problem.result(problem.state(), figures, trace=[])


class ThresholdOnly(Method):
    """The unchanged network, at the threshold of the best objective."""

    any_groups = True

    def search(self, problem: Problem) -> DebiasingResult:
        """Return the first candidate of every search, the base network."""
        return Incumbent(problem).result()


class Constant(Method):
    """The constant decision, the more frequent label for everybody: without bias and without use."""

    any_groups = True

    def search(self, problem: Problem) -> DebiasingResult:
        """Choose the decision from the labels alone."""
        # Balanced accuracy 1/2 and bias 0. Under the linear objective of the paper's first version this is
        # nearly optimal (.25 x the minority's share), so results must be compared with it.
        threshold = -math.inf if problem.y.double().mean() > 0.5 else math.inf
        figures = figures_at(problem, torch.zeros(len(problem.y), device=problem.y.device), threshold)
        return problem.result(problem.state(), figures, trace=[])
