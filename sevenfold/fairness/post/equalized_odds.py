"""Equalized odds (Hardt, Price, Srebro 2016) on hard labels: a linear program in four flip probabilities."""

import numpy as np
import torch
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.fairness.confusion import counts
from sevenfold.fairness.objective import Objective
from sevenfold.ranges import Share


class EqualizedOdds:
    """Flip decisions at random, by group and decision, so that TPR and FPR of the groups are equal.

    Args:
        cut: where scores become decisions before flipping (decided 1 above it).

    Example:
        >>> import torch
        >>> from sevenfold.fairness import Objective
        >>> y, a = torch.arange(200) % 2, torch.arange(200) // 100
        >>> post = EqualizedOdds()
        >>> _ = post.fit(torch.rand(200), y, a, Objective())
        >>> post.predict_proba(torch.rand(5), a[:5]).shape
        torch.Size([5])
    """

    def __init__(self, *, cut: Share = 0.5) -> None:
        self.cut = cut
        self.keep = np.zeros((2, 2))  # P(final 1 | group, decision)
        self.value = float("nan")

    def fit(self, scores: Tensor, y: Tensor, a: Tensor, objective: Objective) -> "EqualizedOdds":
        """Solve for P(final 1 | decision, group), minimizing the sum of both groups' error rates."""
        # min over p of the expected loss, subject to TPR_0(p) = TPR_1(p), FPR_0(p) = FPR_1(p), 0 <= p <= 1:
        # a linear program in four probabilities   (Hardt, Price & Srebro 2016, section 4.1)
        from scipy.optimize import linprog

        decided = counts(scores > self.cut, y, a)
        tpr, fpr = (decided.rate(name).cpu().numpy() for name in ("tpr", "fpr"))
        if np.isnan([tpr, fpr]).any():
            raise InputError("equalized odds needs both labels in both groups; merge groups or add rows")
        cost = [[(1 - fpr[g]) - (1 - tpr[g]), fpr[g] - tpr[g]] for g in (0, 1)]
        equal = [
            [1 - tpr[0], tpr[0], tpr[1] - 1, -tpr[1]],
            [1 - fpr[0], fpr[0], fpr[1] - 1, -fpr[1]],
        ]
        solution = linprog(np.ravel(cost), A_eq=equal, b_eq=[0, 0], bounds=(0, 1), method="highs")
        self.keep, self.value = solution.x.reshape(2, 2), float(solution.fun)
        return self

    def predict_proba(self, scores: Tensor, a: Tensor) -> Tensor:
        """Return the probability of deciding 1."""
        keep = torch.as_tensor(self.keep, device=scores.device)
        return keep[a.long(), (scores > self.cut).long()]
