"""Bias measures of binary decisions, signed: the unprivileged group's rate minus the privileged one's.

Everything is computed from a :class:`~sevenfold.fairness.confusion.Confusion`. y = 1 is the favorable label
and, of two groups, a = 1 the privileged one, everywhere.
"""

import torch
from torch import Tensor

from sevenfold.fairness.confusion import Confusion, Empty, counts
from sevenfold.fairness.expressions import parse
from sevenfold.fairness.groups import Groups

# Statistical parity: Dwork et al. 2012. Equalized odds and equal opportunity: Hardt, Price & Srebro 2016,
# definitions 2.1 and 2.2. Average odds and the sign (unprivileged minus privileged): Bellamy et al. 2018.
#     SPD = P(yhat=1 | a=0) - P(yhat=1 | a=1)
#     EOD = TPR_0 - TPR_1
#     AOD = ((FPR_0 - FPR_1) + (TPR_0 - TPR_1)) / 2
MEASURES = ("spd", "eod", "aod", "aaod", "eqodds")
"""Signed statistical parity, equal opportunity and average odds differences; then the mean and the largest
absolute gap of FPR and TPR, which, unlike AOD, are not 0 by cancellation."""


def bias(measure: str, confusion: Confusion, *, empty: Empty = "nan") -> Tensor:
    """Return a measure or expression, (...); NaN where a rate is over nobody (0 under ``empty="zero"``).

    >>> y, a = torch.tensor([1, 0, 1, 0]), torch.tensor([0, 0, 1, 1])
    >>> bias("spd", counts(torch.tensor([0, 0, 1, 0]), y, a)).item()
    -0.5
    """
    return parse(measure).value(confusion.defined(empty))


def performance(name: str, confusion: Confusion) -> Tensor:
    """Return ``balanced_accuracy``, (TPR + TNR) / 2 of all people, ``accuracy`` or ``macro_recall``."""
    # rho = (TPR + TNR) / 2, or the share of right decisions   (Savani et al. 2020)
    if name == "accuracy":
        return confusion.overall("accuracy")
    if name == "macro_recall":
        recalls = [confusion.overall(f"recall[{c}]") for c in range(confusion.classes)]
        return torch.stack(recalls).mean(0)
    return (confusion.overall("tpr") + 1 - confusion.overall("fpr")) / 2


def soft_bias(measure: str, decisions: Tensor, y: Tensor, a: Tensor | Groups) -> Tensor:
    """Return a differentiable measure of soft decisions (..., n), in their dtype; an empty rate is 0."""
    # A hard decision 1[s > tau] has no gradient: counts of probabilities replace counts of decisions.
    soft = counts(decisions, y, a, dtype=decisions.dtype)
    safe = Confusion(soft.positives, soft.totals.clamp(min=1e-12), soft.layout)
    return parse(measure).value(safe)
