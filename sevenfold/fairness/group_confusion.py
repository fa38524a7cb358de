"""Confusion counts of each group as a streaming metric, exact for any batch size and number of devices."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from sevenfold.fairness.confusion import Confusion, counts
from sevenfold.fairness.measures import MEASURES, bias, performance


class GroupConfusion(Metric):
    """Count decisions by cell; compute balanced accuracy and every measure of ``MEASURES``.

    ``update(decisions, y, a)`` takes decisions in [0, 1]. The state is two sums, so that devices add up.
    """

    full_state_update = False
    positives: Tensor
    totals: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Sums, not rates: a mean of batches' rates would depend on the batch size.
        for name in ("positives", "totals"):
            shape = (3, 2, 1) if name == "positives" else (3, 2)
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, decisions: Tensor, y: Tensor, a: Tensor) -> None:
        """Add a batch."""
        batch = counts(decisions, y, a)
        self.positives += batch.positives
        self.totals += batch.totals

    def compute(self) -> dict[str, Tensor]:
        """Return the figures of all batches so far."""
        confusion = Confusion(self.positives, self.totals)
        measures = {name: bias(name, confusion) for name in MEASURES}
        return {"balanced_accuracy": performance("balanced_accuracy", confusion), **measures}
