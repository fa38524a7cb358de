"""What a sample of decisions can say about a bias: intervals that cover, verdicts, the rows they take.

Every interval is MOVER on Wilson limits: one closed formula for differences, means and maxima of gaps.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy.stats import norm
from torch import Tensor

from sevenfold.errors import InputError, suggest

ALPHA, POWER = 0.05, 0.8
VERDICTS = ("met", "cannot tell", "violated")


class Term(NamedTuple):
    """A proportion of a measure: its coefficient, its group and its label (None: of both labels)."""

    coefficient: float
    group: int
    label: int | None


SELECTION = (Term(1.0, 0, None), Term(-1.0, 1, None))
TPR = (Term(1.0, 0, 1), Term(-1.0, 1, 1))
FPR = (Term(1.0, 0, 0), Term(-1.0, 1, 0))
PARTS: dict[str, tuple[Sequence[Term], ...]] = {
    "spd": (SELECTION,),
    "eod": (TPR,),
    "aod": (tuple(Term(t.coefficient / 2, t.group, t.label) for t in (*FPR, *TPR)),),
    # |FPR gap| + |TPR gap| is the largest of the four signed sums.
    "aaod": tuple(
        (
            *(Term(first * t.coefficient / 2, t.group, t.label) for t in FPR),
            *(Term(second * t.coefficient / 2, t.group, t.label) for t in TPR),
        )
        for first in (1, -1)
        for second in (1, -1)
    ),
    "eqodds": (
        FPR,
        TPR,
        *(tuple(Term(-t.coefficient, t.group, t.label) for t in part) for part in (FPR, TPR)),
    ),
}
"""Linear combinations of proportions, of which a measure is the largest (or, if there is one, itself)."""
TESTS = {"aaod": 4, "eqodds": 2}
"""How many of these combinations the lower end of a maximum has to be corrected for."""


def wilson(successes: Tensor, n: Tensor, level: float = 0.95) -> tuple[Tensor, Tensor]:
    """Return the ends of Wilson's interval of a proportion; [0, 1] where n is 0 (Wilson 1927).

    Args:
        successes: how many of n, or an expected number (...).
        n: how many there are (...).
        level: of the interval.

    Example:
        >>> low, high = wilson(torch.tensor(37.0), torch.tensor(120.0))
        >>> round(low.item(), 3), round(high.item(), 3)
        (0.232, 0.396)
    """
    if not 0 < level < 1:
        raise InputError(f"level is {level}; expected a share between 0 and 1, such as 0.95")
    if bool(((successes < 0) | (successes > n * (1 + 1e-9))).any()):
        raise InputError("more successes than there are, or fewer than none: are the two counts exchanged?")
    z = norm.ppf((1 + level) / 2)
    safe = n.clamp(min=1e-12)
    p = successes / safe
    # (p + z^2/2n) / (1 + z^2/n)  +-  z / (1 + z^2/n) sqrt(p (1 - p) / n + z^2 / 4n^2)
    shrink = 1 + z**2 / safe
    center = (p + z**2 / (2 * safe)) / shrink
    half = z / shrink * ((p * (1 - p)).clamp(min=0) / safe + z**2 / (4 * safe**2)).sqrt()
    low, high = (center - half).clamp(min=0.0), (center + half).clamp(max=1.0)
    return torch.where(n > 0, low, 0.0), torch.where(n > 0, high, 1.0)


def interval(
    measure: str, positives: Tensor, totals: Tensor, *, level: float = 0.95
) -> tuple[Tensor, Tensor]:
    """Return the ends of the interval of a measure of :data:`~sevenfold.fairness.measures.MEASURES`, (...).

    Args:
        measure: its name.
        positives: decisions 1 by group and label, (..., 2, 2).
        totals: rows by group and label, (..., 2, 2) or (2, 2).
        level: of the interval.

    Where a proportion is over nobody, all that the measure can be is in the interval.

    Example:
        >>> positives, totals = torch.tensor([[10.0, 30.0], [20.0, 40.0]]), torch.full((2, 2), 50.0)
        >>> low, high = interval("spd", positives, totals)
        >>> round(low.item(), 3), round(high.item(), 3)
        (-0.33, -0.063)
    """
    parts, absolute = _parts(measure), measure in TESTS
    ends = [_mover(part, positives, totals, level) for part in parts]
    if not absolute:
        return ends[0]
    # A maximum exceeds its largest part, so the upper end needs no correction; the lower end does.
    corrected = 1 - (1 - level) / TESTS[measure]
    lows = [_mover(part, positives, totals, corrected)[0] for part in parts]
    return torch.stack(lows).amax(0).clamp(min=0.0), torch.stack([high for _, high in ends]).amax(0)


def _parts(measure: str) -> tuple[Sequence[Term], ...]:
    if measure not in PARTS:
        raise InputError(f"'{measure}' is no measure of bias. {suggest(measure, PARTS)}")
    return PARTS[measure]


def _check_bound(bound: float, alpha: float) -> None:
    if not bound > 0 or not 0 < alpha < 0.5:
        raise InputError(
            f"bound is {bound} and alpha {alpha}; expected a bound above 0 and alpha in (0, 0.5)"
        )


def _mover(part: Sequence[Term], positives: Tensor, totals: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Return the ends for a combination of independent proportions (Zou and Donner 2008)."""
    estimate, down, up = (torch.zeros_like(positives[..., 0, 0]) for _ in range(3))
    known = torch.ones_like(estimate, dtype=torch.bool)
    for c, group, label in part:
        rows = (slice(None) if label is None else slice(label, label + 1),)
        x, n = (counts[..., group, :][..., rows[0]].sum(-1) for counts in (positives, totals))
        low, high = wilson(x, n, level)
        value = c * x / n.clamp(min=1e-12)
        least, most = (c * low, c * high) if c > 0 else (c * high, c * low)
        # L = t - sqrt(sum (c p - min(c l, c u))^2),  U = t + sqrt(sum (max(c l, c u) - c p)^2)
        estimate, down, up = estimate + value, down + (value - least) ** 2, up + (most - value) ** 2
        known = known & (n > 0)
    reach = sum(abs(term.coefficient) for term in part) / 2
    return (
        torch.where(known, estimate - down.sqrt(), -reach),
        torch.where(known, estimate + up.sqrt(), reach),
    )


def verdict(measure: str, positives: Tensor, totals: Tensor, bound: float, *, alpha: float = ALPHA) -> Tensor:
    """Return positions in :data:`VERDICTS`: is the measure within the bound, beyond it, or can nobody tell?

    These are the two one-sided tests at ``alpha`` (Schuirmann 1987): ``met`` where the interval of level
    1 - 2 alpha lies inside (-bound, bound), ``violated`` where it lies wholly outside.

    Args:
        measure: its name.
        positives: decisions 1 by group and label, (..., 2, 2).
        totals: rows by group and label.
        bound: largest bias that is allowed.
        alpha: share of wrong verdicts of either kind at the bound.

    Example:
        >>> totals = torch.full((2, 2), 50.0)
        >>> VERDICTS[verdict("spd", torch.full((2, 2), 25.0), totals, 0.05)]
        'cannot tell'
        >>> VERDICTS[verdict("spd", torch.full((2, 2), 2500.0), 100 * totals, 0.05)]
        'met'
    """
    _check_bound(bound, alpha)
    low, high = interval(measure, positives, totals, level=1 - 2 * alpha)
    met = (high < bound) & (low > -bound)
    violated = (low > bound) | (high < -bound)
    return torch.where(met, 0, torch.where(violated, 2, 1))


def rows_needed(
    measure: str,
    positives: Tensor,
    totals: Tensor,
    bound: float,
    *,
    alpha: float = ALPHA,
    power: float = POWER,
) -> float:
    """Return how many rows like these it takes to show that a rule without bias is within the bound.

    Args:
        measure: its name.
        positives: decisions 1 by group and label, (2, 2).
        totals: rows by group and label, (2, 2).
        bound: largest bias that is allowed.
        alpha: as in :func:`verdict`.
        power: probability of the verdict ``met`` where there is no bias.

    Example:
        >>> totals = torch.tensor([[350.0, 350.0], [650.0, 650.0]])
        >>> round(rows_needed("spd", totals / 2, totals, 0.05))
        3764
    """
    _check_bound(bound, alpha)
    if not 0 < power < 1:
        raise InputError(f"power is {power}; expected a probability between 0 and 1")
    z = norm.ppf(1 - alpha) + norm.ppf(1 - (1 - power) / 2)
    most = 0.0
    for part in _parts(measure):
        variance = 0.0
        for c, group, label in part:
            rows = slice(None) if label is None else slice(label, label + 1)
            # Without bias the groups have one rate: that of everybody with this label.
            rate = float(positives[:, rows].sum() / totals[:, rows].sum())
            share = float(totals[group, rows].sum() / totals.sum())
            variance += c**2 * rate * (1 - rate) / share if share else float("inf")
        # N = (z_{1-a} + z_{1-b/2})^2 sum_i c_i^2 p_i (1 - p_i) / share_i / bound^2
        most = max(most, z**2 * variance / bound**2)
    return most
