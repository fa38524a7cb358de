"""Calibrated equalized odds (Pleiss et al. 2017): information is withheld from the group of lower cost."""

from typing import Literal

import torch
from torch import Tensor

from sevenfold.fairness.objective import Objective
from sevenfold.ranges import Share


class CalibratedEqualizedOdds:
    """Replacement of the lower-cost group's scores by its base rate, as often as equalizes the costs.

    Args:
        cost: generalized false positive rate (``fpr``), false negative rate (``fnr``), or ``weighted`` both.
        cut: lowest score of decision 1.
    """

    def __init__(self, *, cost: Literal["fpr", "fnr", "weighted"] = "fpr", cut: Share = 0.5) -> None:
        self.cost, self.cut = cost, cut
        self.mix, self.base = torch.zeros(2), torch.zeros(2)

    def fit(self, scores: Tensor, y: Tensor, a: Tensor, objective: Objective) -> "CalibratedEqualizedOdds":
        """Compute the mixing rates."""
        s, groups = scores.double(), [a == g for g in (0, 1)]
        self.base = torch.stack([y[group].double().mean() for group in groups])
        costs = [self._cost(s[g], y[g], b) for g, b in zip(groups, self.base, strict=True)]
        blind_costs = [
            self._cost(b.expand(int(g.sum())), y[g], b) for g, b in zip(groups, self.base, strict=True)
        ]
        cheaper = 1 if costs[0] > costs[1] else 0
        # alpha = (c(h_2) - c(h_1)) / (c(h_mu) - c(h_1)), h_mu the constant base rate   (Pleiss et al. 2017)
        rate = (costs[1 - cheaper] - costs[cheaper]) / (blind_costs[cheaper] - costs[cheaper])
        self.mix = torch.zeros(2, dtype=torch.float64)
        self.mix[cheaper] = rate
        return self

    def _cost(self, scores: Tensor, y: Tensor, base: Tensor) -> Tensor:
        positive, negative = (1 - scores[y == 1]).mean(), scores[y == 0].mean()
        if self.cost == "weighted":
            return negative / 2 * (1 - base) + positive / 2 * base
        return negative if self.cost == "fpr" else positive

    def predict_proba(self, scores: Tensor, a: Tensor) -> Tensor:
        """Return the probability of deciding 1."""
        mix = self.mix.clamp(0, 1).to(scores.device)[a.long()]
        base = (self.base >= self.cut).double().to(scores.device)[a.long()]
        return (1 - mix) * (scores >= self.cut).double() + mix * base
