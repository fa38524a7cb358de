"""Reject option (Kamiran et al. 2012): near the threshold the decision favors the unprivileged group.

Equivalent to two thresholds: the privileged are decided 1 where s > t + m, the others where s >= t - m.
"""

import logging
import math

import torch
from torch import Tensor

from sevenfold.fairness.confusion import Confusion
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.threshold import TIE
from sevenfold.ranges import Count

log = logging.getLogger(__name__)


class RejectOption:
    """The reject option, its threshold t and margin m searched on a grid.

    Args:
        thresholds, margins: points of t in [0.01, 0.99], and of m in [0, min(t, 1 - t)].
        two_sided: whether m may be negative, against a bias towards the unprivileged; not so in the paper.

    Where no pair meets the bound, the one of least |bias| is chosen and a warning logged (``met`` is False).

    Example:
        >>> import torch
        >>> from sevenfold.fairness import Objective
        >>> y, a = torch.arange(200) % 2, torch.arange(200) // 100
        >>> post = RejectOption()
        >>> _ = post.fit(torch.rand(200), y, a, Objective())
        >>> post.predict_proba(torch.rand(5), a[:5]).shape
        torch.Size([5])
    """

    def __init__(self, *, thresholds: Count = 100, margins: Count = 50, two_sided: bool = True) -> None:
        self.thresholds, self.margins, self.two_sided = thresholds, margins, two_sided
        self.threshold, self.margin, self.met = math.nan, math.nan, False

    def grid(self) -> tuple[Tensor, Tensor]:
        """Return all pairs (t, m), flat."""
        t = torch.linspace(0.01, 0.99, self.thresholds, dtype=torch.float64)
        largest = torch.where(t > 0.5, 1 - t, t)
        steps = torch.linspace(0, 1, self.margins, dtype=torch.float64)
        if self.two_sided:
            steps = torch.cat([steps, -steps[1:]])
        return t.repeat_interleave(len(steps)), (largest[:, None] * steps).flatten()

    def fit(self, scores: Tensor, y: Tensor, a: Tensor, objective: Objective) -> "RejectOption":
        """Choose the pair of best performance within the bound (no margin)."""
        t, m = self.grid()
        s = scores.double().cpu()
        counts = torch.zeros(len(t), 2, 2, dtype=torch.float64)
        totals = torch.zeros(2, 2, dtype=torch.float64)
        # Critical region |s - t| <= m: unprivileged are decided 1, privileged 0   (Kamiran et al. 2012).
        # Counts above an edge are places in the sorted scores, so the whole grid needs four sorts.
        for group, edge in ((0, t - m), (1, t + m)):
            for label in (0, 1):
                cell = s[((a == group) & (y == label)).cpu()].sort().values
                totals[group, label] = len(cell)
                counts[:, group, label] = len(cell) - torch.searchsorted(cell, edge, right=group == 1)
        _, rho, mu = objective.value(Confusion.two(counts, totals), search=False)
        feasible = (mu.abs() <= objective.epsilon) & ~rho.isnan()
        self.met = bool(feasible.any())
        if self.met:
            value = rho.masked_fill(~feasible, -1)
            best = int((value >= value.max() - TIE).nonzero()[0])
        else:
            best = int(mu.abs().nan_to_num(nan=1e9).argmin())
            log.warning("reject option: nothing meets |%s| <= %g", objective.measure, objective.epsilon)
        self.threshold, self.margin = float(t[best]), float(m[best])
        return self

    def predict_proba(self, scores: Tensor, a: Tensor) -> Tensor:
        """Return the decisions as probabilities 0 and 1."""
        s = scores.double()
        privileged, other = s > self.threshold + self.margin, s >= self.threshold - self.margin
        return torch.where(a == 1, privileged, other).double()
