"""How well an expected error orders pixels: sparsification, rank correlation, calibration."""

import torch
from scipy.stats import spearmanr
from torch import Tensor
from torchmetrics.functional.classification import binary_calibration_error

STEPS, BINS = 50, 15


def ause(error: Tensor, expected: Tensor) -> float:
    """Return the area between the sparsification curve of ``expected`` and the oracle's (Ilg et al. 2018).

    Both are (N,) in px. The curve is the mean error of what is left when the worst k/50 of the pixels by
    ``expected`` are removed, k = 0, ..., 49; the area is divided by the mean error of all pixels.

    >>> ause(torch.arange(100.0), torch.arange(100.0))
    0.0
    """
    mean = error.double().mean()
    if not len(error) or mean == 0:
        return 0.0
    area = (_curve(error, expected) - _curve(error, error)).mean()
    return float(area / mean)


def _curve(error: Tensor, order: Tensor) -> Tensor:
    """Return the mean error of the best (50 - k)/50 of the pixels in an order, (50,)."""
    sums = error.double()[order.argsort(stable=True)].cumsum(0)
    left = (
        (len(error) * (STEPS - torch.arange(STEPS, device=error.device)) / STEPS).ceil().long().clamp(min=1)
    )
    return sums[left - 1] / left


def rank_correlation(error: Tensor, expected: Tensor) -> float:
    """Return Spearman's rank correlation of (N,) errors and expected errors, equal values sharing ranks."""
    if (error == error[:1]).all() or (expected == expected[:1]).all():
        return 0.0  # an order of equals says nothing
    return float(spearmanr(error.cpu().numpy(), expected.cpu().numpy()).statistic)


def calibration_error(error: Tensor, confidence: Tensor, *, right: float = 1.0) -> float:
    """Return the calibration error of ``confidence`` (N,) as the probability of an error below ``right`` px.

    The mean over pixels of the difference of stated and true share in their bin, of 15 equal ones.
    """
    if not len(error):
        return 0.0
    return float(
        binary_calibration_error(
            confidence.double().clamp(0, 1), (error < right).long(), n_bins=BINS, norm="l1"
        )
    )
