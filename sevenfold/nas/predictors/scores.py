"""Scores of predictions: errors, correlations, and the share of the best that are ranked first."""

import torch
from torch import Tensor
from torchmetrics.functional import (
    kendall_rank_corrcoef,
    mean_absolute_error,
    mean_squared_error,
    pearson_corrcoef,
    spearman_corrcoef,
)
from torchmetrics.functional.retrieval import retrieval_precision


def score(predictions: Tensor, targets: Tensor, *, k: int) -> dict[str, Tensor]:
    """Compare predicted with true errors, (n,) each.

    ``mae``, ``median_ae`` and ``rmse`` are in the targets' unit. ``precision`` is the share of the ``k``
    cells predicted best that are among the ``k`` best (of equal ones the first).
    """
    predictions, targets = predictions.double(), targets.double()
    best = torch.zeros(len(targets), dtype=torch.bool, device=targets.device)
    best[targets.argsort(stable=True)[:k]] = True
    merit = predictions.max() - predictions + 1  # the library takes entries of 0 and less for misses
    kendall = kendall_rank_corrcoef(predictions, targets)
    assert isinstance(kendall, Tensor)  # no p-value was asked for
    return {
        "mae": mean_absolute_error(predictions, targets),
        "median_ae": (predictions - targets).abs().median(),
        "rmse": mean_squared_error(predictions, targets, squared=False),
        "pearson": pearson_corrcoef(predictions, targets),
        "spearman": spearman_corrcoef(predictions, targets),
        "kendall": kendall,
        f"precision_at_{k}": retrieval_precision(merit, best, top_k=k),
    }
