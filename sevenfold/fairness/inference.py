"""What a sample of decisions can say about a bias: intervals that cover, verdicts, the rows they take.

Every interval is MOVER on Wilson limits: one closed formula for differences, means and maxima of gaps, of any
number of groups and with weights (by Kish's effective number of people).
"""

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy.stats import norm, studentized_range
from torch import Tensor

from sevenfold.errors import InputError, shown
from sevenfold.fairness.confusion import Confusion
from sevenfold.fairness.expressions import (
    Absolute,
    Expression,
    Gap,
    Largest,
    Linear,
    Loss,
    Maximum,
    Mean,
    OfGroups,
    Ratio,
    Worst,
    parse,
)
from sevenfold.seeding import numpy_generator

ALPHA, POWER = 0.05, 0.8
VERDICTS = ("met", "cannot tell", "violated")
SENSES = ("<", "<=", ">", ">=")
Ends = tuple[Tensor, Tensor]


class Proportion(NamedTuple):
    """A rate of one group: successes of n, (...), n being an effective number where there are weights."""

    p: Tensor
    n: Tensor

    def limits(self, z: float) -> Ends:
        """Return Wilson's limits."""
        return _wilson(self.p, self.n, z)


def wilson(successes: Tensor, n: Tensor, level: float = 0.95) -> Ends:
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
    z = two_sided(level)
    if bool(((successes < 0) | (successes > n * (1 + 1e-9))).any()):
        raise InputError("more successes than there are, or fewer than none: are the two counts exchanged?")
    return _wilson(successes / n.clamp(min=1e-12), n, z)


def two_sided(level: float) -> float:
    """Return the quantile of the normal distribution for an interval of some level."""
    if not 0 < level < 1:
        raise InputError(f"level is {level}; expected a share between 0 and 1, such as 0.95")
    return float(norm.ppf((1 + level) / 2))


def _wilson(p: Tensor, n: Tensor, z: float) -> Ends:
    safe = n.clamp(min=1e-12)
    # (p + z^2/2n) / (1 + z^2/n)  +-  z / (1 + z^2/n) sqrt(p (1 - p) / n + z^2 / 4n^2)
    shrink = 1 + z**2 / safe
    center = (p + z**2 / (2 * safe)) / shrink
    half = z / shrink * ((p * (1 - p)).clamp(min=0) / safe + z**2 / (4 * safe**2)).sqrt()
    low, high = (center - half).clamp(min=0.0), (center + half).clamp(max=1.0)
    return torch.where(n > 0, low, 0.0), torch.where(n > 0, high, 1.0)


def interval(expression: str | Expression, confusion: Confusion, *, level: float = 0.95) -> Ends:
    """Return the ends of the interval of a measure, a criterion or any expression, (...).

    Args:
        expression: such as ``spd`` or ``gap(tpr, "race")``.
        confusion: counts of any number of samples.
        level: of the interval.

    Where a proportion is over nobody, all that the measure can be is in the interval.

    Example:
        >>> positives, totals = torch.tensor([[10.0, 30.0], [20.0, 40.0]]), torch.full((2, 2), 50.0)
        >>> low, high = interval("spd", Confusion.two(positives, totals))
        >>> round(low.item(), 3), round(high.item(), 3)
        (-0.33, -0.063)
    """
    two_sided(level)
    expression = parse(expression) if isinstance(expression, str) else expression
    if isinstance(expression, Loss):
        raise InputError(f"'{expression}' compares two networks on the same rows; use compare()")
    return _ends(expression, Rates(confusion), 1 - level)


class Rates:
    """The rates of a confusion as proportions, each computed once."""

    def __init__(self, confusion: Confusion) -> None:
        self.confusion = confusion
        self._of: dict[str, list[Proportion]] = {}

    def of(self, rate: str, group: int) -> Proportion:
        """Return a rate of one group; its p is 0 where it is over nobody."""
        if rate not in self._of:
            n, p = self.confusion.effective(rate), self.confusion.defined("zero").rate(rate)
            n = n.double() if not n.is_floating_point() else n
            n = n.expand_as(p)
            self._of[rate] = [Proportion(p[..., g], n[..., g]) for g in range(p.shape[-1])]
        return self._of[rate][group]


def _ends(expression: Expression, rates: Rates, alpha: float, tests: int = 1) -> Ends:
    """Return the ends at 1 - alpha; ``tests`` is what the end of an extreme value is corrected for."""
    z = float(norm.ppf(1 - alpha / 2))
    if isinstance(expression, Worst | Largest):
        return _extreme_rate(expression, rates, alpha, tests)
    if isinstance(expression, Ratio):
        return _ratio(expression, rates, alpha, tests)
    if expression.signed:
        (part,) = expression.parts(rates.confusion)
        return _mover(part, rates, z)
    if isinstance(expression, Maximum):
        ends = [_ends(e, rates, alpha, tests * len(expression.of)) for e in expression.of]
        lows, highs = ([end[i] for end in ends] for i in (0, 1))
        return functools.reduce(torch.maximum, lows), functools.reduce(torch.maximum, highs)
    if isinstance(expression, Gap) and expression.family is None:
        # of several families the largest gap counts, so that it is a maximum of gaps
        names = list(rates.confusion.layout.families)
        if len(names) > 1:
            return _ends(Maximum(tuple(Gap(expression.rate, n) for n in names)), rates, alpha, tests)
    parts = expression.parts(rates.confusion)
    if not parts:
        nothing = torch.zeros_like(rates.confusion.totals[..., 0, 0])
        return nothing, nothing + 1
    # A maximum exceeds its largest part, so the upper end needs no correction; the lower end does.
    corrected = _corrected(expression, parts, alpha / tests)
    low = functools.reduce(torch.maximum, [_mover(part, rates, corrected)[0] for part in parts])
    high = functools.reduce(torch.maximum, [_mover(part, rates, z)[1] for part in parts])
    return low.clamp(min=0.0), high


def _corrected(expression: Expression, parts: Sequence[Linear], alpha: float) -> float:
    """Return the quantile at which the lower end of a maximum covers."""
    if isinstance(expression, Gap):
        groups = len({g for part in parts for _, _, g in part})
        return range_quantile(alpha, groups)
    if isinstance(expression, Absolute):
        return float(norm.ppf(1 - alpha / 2))
    if isinstance(expression, Mean):
        return float(norm.ppf(1 - alpha / (2 * len(parts))))
    raise InputError(
        f"no interval is known for '{expression}'; use gaps, ratios, and their max, mean and abs"
    )


@functools.lru_cache(maxsize=256)
def range_quantile(alpha: float, groups: int) -> float:
    """Return q_{1 - a/2}(k, inf) / sqrt 2 of the studentized range, for two groups the normal quantile."""
    if groups < 3:
        return float(norm.ppf(1 - alpha / 2))
    # the largest of k (k - 1) / 2 differences: all of them at once   (Tukey 1953)
    return float(studentized_range.ppf(1 - alpha / 2, groups, float("inf"))) / 2**0.5


def _mover(part: Linear, rates: Rates, z: float) -> Ends:
    """Return the ends for a combination of independent proportions (Zou and Donner 2008)."""
    estimate = down = up = torch.zeros_like(rates.of(*part[0][1:]).p)
    known = torch.ones_like(estimate, dtype=torch.bool)
    for c, rate, group in part:
        proportion = rates.of(rate, group)
        low, high = proportion.limits(z)
        value = c * proportion.p
        least, most = (c * low, c * high) if c > 0 else (c * high, c * low)
        # L = t - sqrt(sum (c p - min(c l, c u))^2),  U = t + sqrt(sum (max(c l, c u) - c p)^2)
        estimate, down, up = estimate + value, down + (value - least) ** 2, up + (most - value) ** 2
        known = known & (proportion.n > 0)
    reach = sum(abs(c) for c, _, _ in part) / 2
    return (
        torch.where(known, estimate - down.sqrt(), -reach),
        torch.where(known, estimate + up.sqrt(), reach),
    )


def _extreme_rate(expression: OfGroups, rates: Rates, alpha: float, tests: int) -> Ends:
    """Return the ends of the least or the largest rate of a group."""
    families = expression.members(rates.confusion)
    members = [g for family in families for g in family]
    inner, outer = (float(norm.ppf(1 - a / 2)) for a in (alpha, alpha / (tests * max(1, len(members)))))
    least = isinstance(expression, Worst)
    plain = [rates.of(expression.rate, g).limits(inner) for g in members]
    corrected = [rates.of(expression.rate, g).limits(outer) for g in members]
    which = torch.minimum if least else torch.maximum
    lows, highs = (plain, corrected) if least else (corrected, plain)
    low = functools.reduce(which, [low for low, _ in lows])
    return low, functools.reduce(which, [high for _, high in highs])


def _ratio(expression: Ratio, rates: Rates, alpha: float, tests: int) -> Ends:
    """Return the ends of the least rate over the largest: the least ratio of a pair."""
    z, lows, highs = float(norm.ppf(1 - alpha / 2)), [], []
    for family in expression.members(rates.confusion):
        corrected = range_quantile(alpha / tests, len(family))
        for i, j in itertools.permutations(family, 2):
            pair = rates.of(expression.rate, i), rates.of(expression.rate, j)
            # A minimum lies below its least part: here the upper end needs the correction.
            lows.append(ratio_limits(*pair, z)[0])
            highs.append(ratio_limits(*pair, corrected)[1])
    if not lows:
        nothing = torch.zeros_like(rates.confusion.totals[..., 0, 0])
        return nothing, nothing + 1
    return functools.reduce(torch.minimum, lows), functools.reduce(torch.minimum, highs).clamp(max=1.0)


def ratio_limits(top: Proportion, bottom: Proportion, z: float) -> Ends:
    """Return the ends of the ratio of two proportions, by MOVER-R (Donner and Zou 2012).

    >>> first, second = (Proportion(*torch.tensor([p, 100.0])) for p in (0.3, 0.6))
    >>> ends = ratio_limits(first, second, 1.96)
    >>> [round(float(end), 2) for end in ends]
    [0.35, 0.7]
    """
    (l0, u0), (l1, u1), p0, p1 = top.limits(z), bottom.limits(z), top.p, bottom.p
    cross = p0 * p1
    # L = [p0 p1 - sqrt((p0 p1)^2 - l0 u1 (2 p0 - l0)(2 p1 - u1))] / (u1 (2 p1 - u1)),  U likewise
    below = (cross**2 - l0 * u1 * (2 * p0 - l0) * (2 * p1 - u1)).clamp(min=0).sqrt()
    above = (cross**2 - u0 * l1 * (2 * p0 - u0) * (2 * p1 - l1)).clamp(min=0).sqrt()
    # the same ends as quotients that stay finite where 2 p1 - u1 is 0
    low = l0 * (2 * p0 - l0) / (cross + below).clamp(min=1e-300)
    high = (cross + above) / (l1 * (2 * p1 - l1)).clamp(min=1e-300)
    known = (top.n > 0) & (bottom.n > 0)
    high = torch.where((l1 > 0) & known, high, torch.inf)
    return torch.where(known, low.clamp(min=0.0), 0.0), high


def _check_bound(bound: float, alpha: float) -> None:
    if not 0 < bound < float("inf") or not 0 < alpha < 0.5:
        raise InputError(
            f"bound is {bound} and alpha {alpha}; expected a bound above 0 and alpha in (0, 0.5)"
        )


def verdict(
    expression: str | Expression,
    confusion: Confusion,
    bound: float,
    *,
    sense: str = "<=",
    alpha: float = ALPHA,
) -> Tensor:
    """Return positions in :data:`VERDICTS`: is the measure within the bound, beyond it, or can nobody tell?

    These are the two one-sided tests at ``alpha`` (Schuirmann 1987): ``met`` where the interval of level
    1 - 2 alpha lies inside (-bound, bound), ``violated`` where it lies wholly outside. Where a group has too
    few people to be judged nothing is ``met``.

    Args:
        expression: a measure, a criterion or an expression.
        confusion: counts of any number of samples.
        bound: largest bias that is allowed.
        sense: ``<=``, or ``>=`` where the bound is the least that is allowed, as for ``ratio(selection)``.
        alpha: share of wrong verdicts of either kind at the bound.

    Example:
        >>> totals = torch.full((2, 2), 50.0)
        >>> VERDICTS[verdict("spd", Confusion.two(torch.full((2, 2), 25.0), totals), 0.05)]
        'cannot tell'
        >>> VERDICTS[verdict("spd", Confusion.two(torch.full((2, 2), 2500.0), 100 * totals), 0.05)]
        'met'
    """
    _check_bound(bound, alpha)
    if sense not in SENSES:
        raise InputError(f"sense is {shown(sense)}; expected one of {', '.join(SENSES)}")
    expression = parse(expression) if isinstance(expression, str) else expression
    low, high = interval(expression, confusion, level=1 - 2 * alpha)
    if sense.startswith(">"):
        met, violated = low > bound, high < bound
    else:
        met, violated = (high < bound) & (low > -bound), (low > bound) | (high < -bound)
    if few_rows(expression, confusion):
        met = torch.zeros_like(met)
    return torch.where(met, 0, torch.where(violated, 2, 1))


def few_rows(expression: Expression, confusion: Confusion) -> list[str]:
    """Return the groups whose people are too few for a rate of the expression to be judged."""
    layout = confusion.layout
    return [
        layout.names[g]
        for rate, name in dict.fromkeys(expression.rates())
        for family in layout.family(name)
        for g in sorted(set(family) - set(confusion.judged(rate, family)))
    ]


def rows_needed(
    expression: str | Expression,
    confusion: Confusion,
    bound: float,
    *,
    alpha: float = ALPHA,
    power: float = POWER,
) -> float:
    """Return how many rows like these it takes to show that a rule without bias is within the bound.

    Args:
        expression: a measure, or an expression of differences and gaps.
        confusion: counts of one sample.
        bound: largest bias that is allowed.
        alpha: as in :func:`verdict`.
        power: probability of the verdict ``met`` where there is no bias.

    Example:
        >>> totals = torch.tensor([[350.0, 350.0], [650.0, 650.0]])
        >>> round(rows_needed("spd", Confusion.two(totals / 2, totals), 0.05))
        3764
    """
    _check_bound(bound, alpha)
    if not 0 < power < 1:
        raise InputError(f"power is {power}; expected a probability between 0 and 1")
    expression = parse(expression) if isinstance(expression, str) else expression
    z = norm.ppf(1 - alpha) + norm.ppf(1 - (1 - power) / 2)
    everybody, most = float(confusion.totals.sum()), 0.0
    for part in expression.parts(confusion):
        variance = 0.0
        for c, rate, group in part:
            # Without bias the groups have one rate: that of everybody in its denominator.
            p, n = float(confusion.overall(rate)), float(confusion.effective(rate)[..., group])
            variance += c**2 * p * (1 - p) / (n / everybody) if n else float("inf")
        # N = (z_{1-a} + z_{1-b/2})^2 sum_i c_i^2 p_i (1 - p_i) / share_i / bound^2
        most = max(most, z**2 * variance / bound**2)
    return most


def noise_floor(
    expression: str | Expression, confusion: Confusion, *, draws: int = 2000, seed: int = 0
) -> float:
    """Return the mean of a measure if every group had the rates of everybody: what chance alone makes.

    Args:
        expression: a measure or an expression.
        confusion: counts of one sample.
        draws: samples of the same size.
        seed: of the draws.

    Example:
        >>> fair = Confusion.two(torch.full((2, 2), 25.0), torch.full((2, 2), 50.0))
        >>> 0.04 < noise_floor("abs(spd)", fair) < 0.07
        True
    """
    if draws < 1:
        raise InputError(f"draws is {draws}; expected at least 1")
    expression = parse(expression) if isinstance(expression, str) else expression
    table = confusion.table.double()
    cells, classes, decisions = table.shape[-3:]
    pooled = table.sum(-3).flatten()
    sizes = table.sum((-1, -2)).round().long()
    stream, shares = numpy_generator(seed, "noise floor"), (pooled / pooled.sum()).cpu().numpy()
    sampled = [torch.as_tensor(stream.multinomial(n, shares, draws)) for n in sizes.tolist()]
    drawn = torch.stack(sampled, 1).double().view(draws, cells, classes, decisions)
    fair = Confusion(drawn[..., 1:], drawn.sum(-1), confusion.layout)
    values = expression.value(fair)
    return float(values[~values.isnan()].mean())
