"""Bias measures of binary decisions, signed: the unprivileged group's rate minus the privileged one's.

Everything is computed from counts by cell: ``positives[..., a, y]``, how many of the cell (a, y) are decided
1, and ``totals[a, y]``, how many there are. Decisions may be probabilities: then counts are expectations.
y = 1 is the favorable label and a = 1 the privileged group, everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Empty = Literal["nan", "zero"]


def cells(y: Tensor, a: Tensor) -> Tensor:
    """Return one-hot membership (n, 4) in the cells (a, y), in the order (0, 0), (0, 1), (1, 0), (1, 1)."""
    return torch.nn.functional.one_hot((2 * a + y).long(), 4).double()


def count(decisions: Tensor, y: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``positives`` (..., 2, 2) and ``totals`` (2, 2) of decisions (..., n)."""
    member = cells(y, a)
    positives = decisions.double() @ member
    return positives.unflatten(-1, (2, 2)), member.sum(0).view(2, 2)


@dataclass(frozen=True)
class Rates:
    """Rates by group, each (..., 2): ``selection`` P(decision 1), ``tpr`` within y = 1, ``fpr`` within y = 0.

    A rate over nobody is NaN, or 0 under ``empty="zero"`` (which invents a bias; see the guide).
    """

    selection: Tensor
    tpr: Tensor
    fpr: Tensor

    @classmethod
    def of(cls, positives: Tensor, totals: Tensor, *, empty: Empty = "nan") -> "Rates":
        """Return the rates of counts."""
        rates = (
            positives.sum(-1) / totals.sum(-1),
            positives[..., 1] / totals[..., 1],
            positives[..., 0] / totals[..., 0],
        )
        return cls(*(torch.nan_to_num(rate, nan=0.0) for rate in rates) if empty == "zero" else rates)


def _gap(rate: Tensor) -> Tensor:
    return rate[..., 0] - rate[..., 1]


# Statistical parity: Dwork et al. 2012. Equalized odds and equal opportunity: Hardt, Price & Srebro 2016,
# definitions 2.1 and 2.2. Average odds and the sign (unprivileged minus privileged): Bellamy et al. 2018.
#     SPD = P(yhat=1 | a=0) - P(yhat=1 | a=1)
#     EOD = TPR_0 - TPR_1
#     AOD = ((FPR_0 - FPR_1) + (TPR_0 - TPR_1)) / 2
MEASURES: dict[str, Callable[[Rates], Tensor]] = {
    "spd": lambda rates: _gap(rates.selection),
    "eod": lambda rates: _gap(rates.tpr),
    "aod": lambda rates: (_gap(rates.fpr) + _gap(rates.tpr)) / 2,
    "aaod": lambda rates: (_gap(rates.fpr).abs() + _gap(rates.tpr).abs()) / 2,
    "eqodds": lambda rates: torch.maximum(_gap(rates.fpr).abs(), _gap(rates.tpr).abs()),
}
"""Signed statistical parity, equal opportunity and average odds differences; then the mean and the largest
absolute gap of FPR and TPR, which, unlike AOD, are not 0 by cancellation."""


def bias(measure: str, positives: Tensor, totals: Tensor, *, empty: Empty = "nan") -> Tensor:
    """Return a measure of ``MEASURES``, (...), from counts (..., 2, 2); NaN where a rate is over nobody.

    >>> y, a = torch.tensor([1, 0, 1, 0]), torch.tensor([0, 0, 1, 1])
    >>> bias("spd", *count(torch.tensor([0, 0, 1, 0]), y, a)).item()
    -0.5
    """
    return MEASURES[measure](Rates.of(positives, totals, empty=empty))


def performance(name: str, positives: Tensor, totals: Tensor) -> Tensor:
    """Return ``balanced_accuracy``, (TPR + TNR) / 2 of everybody together, or ``accuracy``."""
    decided, present = positives.sum(-2), totals.sum(-2)
    # rho = (TPR + TNR) / 2, or the share of right decisions   (Savani et al. 2020)
    if name == "accuracy":
        return (decided[..., 1] + present[..., 0] - decided[..., 0]) / present.sum(-1)
    return (decided[..., 1] / present[..., 1] + 1 - decided[..., 0] / present[..., 0]) / 2


def standard_error(measure: str, positives: Tensor, totals: Tensor) -> Tensor:
    """Return the analytic standard error of a measure, from independent binomial rates.

    For ``aaod`` and ``eqodds`` it is that of their largest part, which bounds theirs.
    """
    if measure == "spd":
        return _error(positives.sum(-1) / totals.sum(-1), totals.sum(-1))
    per_label = [_error(positives[..., y] / totals[..., y], totals[..., y]) for y in (0, 1)]
    if measure == "eod":
        return per_label[1]
    # Var(p) = p (1 - p) / n for each rate; variances of independent rates add up.
    if measure == "aod":
        return (per_label[0].square() + per_label[1].square()).sqrt() / 2
    return torch.maximum(*per_label)


def _error(rate: Tensor, n: Tensor) -> Tensor:
    return (rate * (1 - rate) / n).sum(-1).clamp(min=0).sqrt()


def soft_bias(measure: str, decisions: Tensor, y: Tensor, a: Tensor) -> Tensor:
    """Return a differentiable measure of soft decisions (..., n), in their dtype; an empty rate is 0."""
    # A hard decision 1[s > tau] has no gradient: counts of probabilities replace counts of decisions.
    member = cells(y, a).to(decisions.dtype)
    positives = (decisions @ member).unflatten(-1, (2, 2))
    totals = member.sum(0).view(2, 2)
    safe = Rates.of(positives / 1, totals.clamp(min=1e-12))
    return MEASURES[measure](safe)
