"""Comparisons of two methods on the same people, and verdicts on many methods at once."""

from typing import NamedTuple

import torch
from scipy.stats import norm
from torch import Tensor

from sevenfold.errors import InputError, shown
from sevenfold.fairness.confusion import Confusion, check_weights, counts, rate_masks
from sevenfold.fairness.expressions import Expression, parse
from sevenfold.fairness.groups import Groups, groups_of
from sevenfold.fairness.inference import Ends, two_sided, verdict


class Comparison(NamedTuple):
    """A difference of two methods and the ends of its interval."""

    estimate: float
    low: float
    high: float


def paired_limits(up: Tensor, down: Tensor, n: Tensor, z: float) -> Ends:
    """Return the ends of a mean of numbers in {-1, 0, 1}, ``up`` of n being 1 and ``down`` -1.

    Paired proportions (Bonett and Price 2012).

    >>> low, high = paired_limits(torch.tensor(20.0), torch.tensor(5.0), torch.tensor(100.0), 1.96)
    >>> round(float(low), 3), round(float(high), 3)
    (0.051, 0.243)
    """
    # p+ = (#(+1) + 1) / (n + 2),  p+ - p-  +-  z sqrt((p+ + p- - (p+ - p-)^2) / (n + 2))
    first, second = (up + 1) / (n + 2), (down + 1) / (n + 2)
    difference = first - second
    half = z * ((first + second - difference**2).clamp(min=0) / (n + 2)).sqrt()
    return (difference - half).clamp(min=-1.0), (difference + half).clamp(max=1.0)


def compare(
    decisions_a: Tensor,
    decisions_b: Tensor,
    y: Tensor,
    groups: Tensor | Groups,
    measure: str = "balanced_accuracy",
    *,
    absolute: bool = False,
    weights: Tensor | None = None,
    level: float = 0.95,
) -> Comparison:
    """Return how much larger a measure is under the decisions A than under B, on the same people.

    Args:
        decisions_a: decisions 0 and 1 of the one, (n,).
        decisions_b: of the other.
        y: labels, (n,).
        groups: of the people.
        measure: ``balanced_accuracy``, ``accuracy``, or a signed measure of two groups.
        absolute: compare absolute values; the interval is wide where the two are nearly the same.
        weights: of the people.
        level: of the interval.

    Example:
        >>> y, a = torch.arange(400) % 2, torch.arange(400) // 200
        >>> better, worse = y.clone(), torch.zeros(400)
        >>> round(compare(better, worse, y, a).estimate, 2)
        0.5
    """
    if not len(decisions_a) == len(decisions_b) == len(y):
        sizes = [len(decisions_a), len(decisions_b), len(y)]
        raise InputError(f"decisions and labels are of {shown(sizes)} rows; expected the same people")
    people = groups_of(groups)
    terms = _terms(measure, y, people)
    d = [torch.as_tensor(v).to(y.device).double() for v in (decisions_a, decisions_b)]
    if not all(bool(((v == 0) | (v == 1)).all()) for v in d):
        raise InputError("decisions must be 0 and 1; of a randomised rule draw them first")
    w = torch.ones(len(y), dtype=torch.float64, device=y.device)
    w = w if weights is None else check_weights(weights, len(y)).double().to(y.device)
    z = two_sided(level)
    if not absolute:
        return Comparison(*_combined(terms, d[0], d[1], w, z))
    # |A| - |B| = sign(s t) min(|s|, |t|), s = A + B, t = A - B: extremes over the box of both intervals
    z = two_sided(1 - (1 - level) / 2)
    t, s = _combined(terms, d[0], d[1], w, z), _combined(terms, d[0], 1 - d[1], w, z, shift=True)
    corners = [absolute_difference(a, b) for a in s[1:] for b in t[1:]]
    corners += [0.0] * (s[1] <= 0 <= s[2] or t[1] <= 0 <= t[2])
    return Comparison(absolute_difference(s[0], t[0]), min(corners), max(corners))


def absolute_difference(s: float, t: float) -> float:
    """Return |A| - |B| of s = A + B and t = A - B.

    >>> absolute_difference(0.5, -0.1)
    -0.1
    """
    sign = (s > 0) - (s < 0), (t > 0) - (t < 0)
    return sign[0] * sign[1] * min(abs(s), abs(t))


def _terms(measure: str, y: Tensor, people: Groups) -> list[tuple[float, Tensor]]:
    """Return coefficients and people of the rates of deciding 1 that a measure is made of."""
    everybody = torch.ones(len(y), dtype=torch.bool, device=y.device)
    if measure == "balanced_accuracy":
        return [(0.5, y == 1), (-0.5, y == 0)]
    if measure == "accuracy":
        share = float((y == 1).double().mean())
        return [(share, y == 1), (share - 1, y == 0)]
    expression = parse(measure)
    table = counts(torch.zeros_like(y), y, people)
    if not expression.signed:
        raise InputError(f"'{measure}' has no sign; compare a signed measure with absolute=True")
    within = {"selection": everybody, "tpr": y == 1, "fpr": y == 0}
    (part,) = expression.parts(table)
    for _, rate, _ in part:
        if rate not in within:
            rate_masks(rate, 2)
            raise InputError(f"'{rate}' is over other people under each; compare selection, tpr or fpr")
    return [(c, within[rate] & people.mask(group)) for c, rate, group in part]


def _combined(
    terms: list[tuple[float, Tensor]], a: Tensor, b: Tensor, w: Tensor, z: float, *, shift: bool = False
) -> tuple[float, float, float]:
    """Return sum c (rate of a - rate of b), or with ``shift`` of a + (1 - b) - 1, with its ends by MOVER."""
    estimate, down, up = 0.0, 0.0, 0.0
    for c, who in terms:
        v = w[who]
        if not len(v):
            raise InputError("a group has nobody with a label that the measure is over")
        n = v.sum() ** 2 / (v**2).sum()
        difference = a[who] - b[who]
        plus, minus = (((difference == side) * v).sum() / v.sum() * n for side in (1, -1))
        mean = float((plus - minus) / n)
        low, high = map(float, paired_limits(plus, minus, n, z))
        ends = sorted((c * low, c * high))
        estimate += c * mean
        down, up = down + (c * mean - ends[0]) ** 2, up + (ends[1] - c * mean) ** 2
    return estimate, estimate - down**0.5, estimate + up**0.5


def p_value(expression: str | Expression, confusion: Confusion, bound: float, *, sense: str = "<=") -> Tensor:
    """Return the least level at which the verdict is ``met``, (...), by inverting the interval; 1 if none.

    >>> many = Confusion.two(torch.full((2, 2), 2500.0), torch.full((2, 2), 5000.0))
    >>> float(p_value("spd", many, 0.05)) < 1e-6
    True
    """
    # The verdict is "met" for all z below the largest: a grid in z, 0.04 apart, rounded to the safe side.
    zs = torch.linspace(0.02, 8.0, 200, dtype=torch.float64)
    levels = [float(norm.sf(z)) for z in zs.tolist()]
    met = torch.stack([verdict(expression, confusion, bound, sense=sense, alpha=a) == 0 for a in levels])
    largest = torch.where(met, zs.view(-1, *[1] * (met.ndim - 1)), 0.0).amax(0)
    return torch.where(largest > 0, torch.as_tensor(norm.sf(largest.numpy())), 1.0)
