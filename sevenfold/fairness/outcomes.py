"""Gaps of numbers between groups: means with Welch's intervals, quantiles, distribution functions."""

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.fairness.groups import Groups
from sevenfold.fairness.inference import ALPHA, range_quantile
from sevenfold.fairness.inputs import host

Floats = NDArray[np.float64]
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)


class MeanGap(NamedTuple):
    """The largest difference of two groups' means, and the ends of its interval."""

    gap: float
    low: float
    high: float

    def verdict(self, bound: float) -> str:
        """Return ``met``, ``violated`` or ``cannot tell`` of ``gap <= bound``, of an interval of level 0.9.

        >>> MeanGap(0.1, 0.08, 0.12).verdict(0.05)
        'violated'
        """
        return "met" if self.high < bound else "violated" if self.low > bound else "cannot tell"


def parts_of_groups(values: Any, groups: Groups, weights: Any = None) -> list[tuple[Floats, Floats]]:
    """Return the values and weights of every group that is large enough to be judged.

    >>> import torch
    >>> [len(v) for v, _ in parts_of_groups([1.0, 2.0, 3.0], Groups(torch.tensor([0, 1, 1])))]
    [1, 2]
    """
    numbers = host(values).astype(float)
    w = np.ones(len(numbers)) if weights is None else host(weights).astype(float)
    if numbers.shape != (len(groups.cell),) or w.shape != numbers.shape or not np.isfinite(numbers).all():
        raise InputError(
            f"outcomes have shape {numbers.shape}, groups {len(groups.cell)} rows; expected finite numbers"
        )
    if len(groups.families) > 1:
        raise InputError("gaps of means are of one attribute; give one column, or their crossing as one")
    masks = [host(groups.mask(g)) for g in groups.families[0]]
    least = max(2, groups.layout.small)
    judged = [(numbers[m], w[m]) for m in masks if m.sum() >= least or (groups.layout.small == 0 and m.any())]
    if len(judged) < 2:
        raise InputError("fewer than two groups are large enough to be compared; set small, or merge groups")
    return judged


def mean_gap(values: Any, groups: Groups, *, weights: Any = None, level: float = 1 - 2 * ALPHA) -> MeanGap:
    """Return the largest difference of two groups' means with its interval.

    The upper end is the largest upper end of a pair (Welch 1947), which needs no correction; the lower end is
    corrected by the studentized range, as for rates.

    Args:
        values: (n,) predictions or outcomes.
        groups: of the people; one attribute.
        weights: of the people; a group counts by Kish's effective number.
        level: of the interval; the default is the one that a verdict uses.

    Example:
        >>> import torch
        >>> values, people = torch.arange(40.0), Groups(torch.arange(40) // 20)
        >>> mean_gap(values, people).gap
        20.0
    """
    moments = []
    for v, w in parts_of_groups(values, groups, weights):
        n, mean = w.sum() ** 2 / (w**2).sum(), float(np.average(v, weights=w))
        spread = float(np.average((v - mean) ** 2, weights=w)) * n / max(n - 1, 1e-300)
        moments.append((mean, spread / n, n))
    alpha = 1 - level
    # how much farther than a single difference's the quantile of the largest of all reaches
    wider = range_quantile(alpha, len(moments)) / float(norm.ppf(1 - alpha / 2))
    lows, highs = [0.0], []
    for (m1, e1, n1), (m2, e2, n2) in itertools.combinations(moments, 2):
        # nu = (e1 + e2)^2 / (e1^2 / (n1 - 1) + e2^2 / (n2 - 1)),  e = s^2 / n   (Welch 1947)
        nu = (e1 + e2) ** 2 / max(e1**2 / max(n1 - 1, 1e-9) + e2**2 / max(n2 - 1, 1e-9), 1e-300)
        reach = float(t.ppf(1 - alpha / 2, max(nu, 1.0))) * (e1 + e2) ** 0.5
        highs.append(abs(m1 - m2) + reach)
        lows.append(abs(m1 - m2) - reach * wider)
    means = [mean for mean, _, _ in moments]
    return MeanGap(max(means) - min(means), max(lows), max(highs))


def outcome_gaps(values: Any, groups: Groups, weights: Any = None) -> dict[str, float]:
    """Return the gaps of means and quantiles, and the largest distance of distribution functions.

    >>> import torch
    >>> people = Groups(torch.arange(40) // 20)
    >>> outcome_gaps(torch.arange(40.0) % 20 + 3 * people.cell, people)["mean"]
    3.0
    """
    parts = parts_of_groups(values, groups, weights)
    means = [float(np.average(v, weights=w)) for v, w in parts]
    gaps = {"mean": max(means) - min(means)}
    points = np.unique(np.concatenate([v for v, _ in parts]))
    below = np.stack([_share_below(v, w, points) for v, w in parts])
    for share in SHARES:
        # the least value whose distribution function reaches the share
        quantiles = [points[int((curve >= share - 1e-12).argmax())] for curve in below]
        gaps[f"quantile {share:g}"] = float(max(quantiles) - min(quantiles))
    gaps["distribution"] = float((below.max(0) - below.min(0)).max())
    return gaps


def _share_below(values: Floats, weights: Floats, points: Floats) -> Floats:
    """Return a weighted distribution function at points."""
    order = np.argsort(values)
    sums = np.concatenate([[0.0], weights[order].cumsum()])
    return sums[np.searchsorted(values[order], points, side="right")] / sums[-1]


def group_means(values: Tensor, groups: Groups, weights: Any = None) -> Floats:
    """Return the means of the judged groups.

    >>> import torch
    >>> group_means(torch.tensor([1.0, 3.0]), Groups(torch.tensor([0, 1]))).tolist()
    [1.0, 3.0]
    """
    return np.array([np.average(v, weights=w) for v, w in parts_of_groups(values, groups, weights)])
