"""The objective of a search: performance under a bound on the bias, in three forms."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.fairness.measures import MEASURES, Empty, bias, performance, standard_error
from sevenfold.ranges import Positive, Share

ONE_SIDED = 1.6449  # 95 % quantile of the normal distribution


@dataclass(frozen=True)
class Objective:
    """The value of a set of decisions: performance, bias and bound combined.

    ``value`` takes counts (..., 2, 2) by group and label, of any number of candidates at once.

    Args:
        measure: one of ``MEASURES``.
        epsilon: the bound on its absolute value.
        margin: distance from the bound that a search keeps, so that new data meet the bound too: a number, or
            ``auto``, the one-sided 95 % bound of the measure's sampling error.
        kind: ``constrained``: performance where |bias| < epsilon, else 0; ``smooth``: performance over
            1 + exp(sharpness (|bias| - epsilon)); ``linear``: weight |bias| + (1 - weight)(1 - accuracy),
            negated, under which a constant decision is nearly best: for comparison only.
        performance: ``balanced_accuracy`` or ``accuracy``.
        empty: what a rate over nobody is; ``nan`` counts as infeasible.
        sharpness: of ``smooth``: how fast performance fades beyond the bound.
        weight: of the bias in ``linear``.

    Example:
        >>> Objective(measure="eod", epsilon=0.1).epsilon
        0.1
    """

    measure: str = "spd"
    epsilon: Positive = 0.05
    margin: Any = 0.01
    kind: Literal["constrained", "smooth", "linear"] = "constrained"
    performance: Literal["balanced_accuracy", "accuracy"] = "balanced_accuracy"
    sharpness: Positive = 500.0
    weight: Share = 0.75
    empty: Empty = "nan"

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise ConfigError("measure", f"'{self.measure}' is not known. Known: {', '.join(MEASURES)}.")
        if self.epsilon <= 0:
            raise ConfigError("epsilon", f"must be above 0, got {self.epsilon}")
        good = self.margin == "auto" or (
            isinstance(self.margin, int | float) and 0 <= self.margin < self.epsilon
        )
        if not good:
            raise ConfigError("margin", f"must be 'auto' or in [0, epsilon), got {self.margin!r}")

    def value(
        self, positives: Tensor, totals: Tensor, *, search: bool = True
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return phi, rho and mu, (...), of counts; ``search`` applies the margin."""
        rho = performance(self.performance, positives, totals)
        mu = bias(self.measure, positives, totals, empty=self.empty)
        return self.combine(rho, mu, positives, totals, search=search), rho, mu

    def combine(self, rho: Tensor, mu: Tensor, positives: Tensor, totals: Tensor, *, search: bool) -> Tensor:
        """Return phi; an undefined performance or measure has the least value."""
        # phi = rho if |mu| < eps, else 0   (Savani et al. 2020); the search subtracts a margin from eps
        excess = mu.abs() + (self.slack(positives, totals) if search else 0.0) - self.epsilon
        # First version of the paper: minimize lambda |mu| + (1 - lambda)(1 - accuracy).
        if self.kind == "linear":
            wrong = 1 - performance("accuracy", positives, totals)
            return torch.nan_to_num(-self.weight * mu.abs() - (1 - self.weight) * wrong, nan=-1.0)
        # rho / (1 + exp(k (|mu| - eps))), written with a sigmoid that does not overflow
        if self.kind == "smooth":
            return torch.nan_to_num(rho * torch.sigmoid(-self.sharpness * excess), nan=0.0)
        return torch.where(excess < 0, rho, torch.zeros_like(rho)).nan_to_num(nan=0.0)

    def slack(self, positives: Tensor, totals: Tensor) -> Tensor | float:
        """Return the margin, a number or one for each count."""
        if self.margin == "auto":
            return ONE_SIDED * standard_error(self.measure, positives, totals)
        return float(self.margin)
