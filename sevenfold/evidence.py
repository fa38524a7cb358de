"""What repeated trials show: paired tests, intervals that stay within range, ranks over problems, verdicts.

Every loss is to be minimized. Tests are two-sided; nothing here assumes normal errors.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from sevenfold.errors import InputError, shown
from sevenfold.seeding import numpy_generator

Floats = NDArray[np.float64]

DRAWS, BLOCK = 10_000, 4_000_000  # resamples of a bootstrap, and the most counts in one block of them
FEWEST = 6  # values below which no interval can hold 95 %: the smallest p of six signs is 1/32
PROBLEMS = 5  # below it ranks over problems say nothing about other problems
LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """Two arms compared on n trials: the typical difference first - second, its interval, the p-value.

    ``low`` and ``high`` are None where n allows no 95 % interval. ``better`` counts trials in which the first
    has the lower loss; None where trials are not paired. ``spread`` is the standard deviation of the
    difference of one trial.
    """

    n: int
    difference: float
    low: float | None
    high: float | None
    p: float
    spread: float
    better: int | None = None


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of arms over problems (1 is best) and what tells them apart.

    ``critical`` is Nemenyi's least difference of two mean ranks, None for fewer than five problems;
    ``cliques`` are the largest runs of arms, by rank, no two of which differ.
    """

    names: tuple[str, ...]
    mean: Floats
    friedman: float
    critical: float | None
    cliques: tuple[tuple[str, ...], ...]


def holm(p: ArrayLike) -> Floats:
    """Return p-values adjusted for their number by Holm's step-down procedure (1979), in the order given.

    >>> holm([0.01, 0.02, 0.03, 0.04]).round(2).tolist()
    [0.04, 0.06, 0.06, 0.06]
    """
    values = vector(p, "p", 0.0, 1.0)
    order = np.argsort(values, kind="stable")
    # Holm 1979: p~_(i) = max over j <= i of min(1, (m - j + 1) p_(j)).
    steps = np.maximum.accumulate(np.minimum(1.0, np.arange(len(values), 0, -1) * values[order]))
    adjusted = np.empty_like(values)
    adjusted[order] = steps
    return adjusted


def paired(first: ArrayLike, second: ArrayLike) -> Comparison:
    """Compare losses of two arms trial by trial by Wilcoxon's signed-rank test.

    Exact for few trials without ties; equal trials count by Pratt's rule; p is 1 where all trials are equal.
    The difference is that of Hodges and Lehmann, with the interval that belongs to the test.

    Args:
        first: losses (n,) of the first arm.
        second: losses (n,) of the second arm in the same trials.

    >>> result = paired([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 4.0, 6.0, 8.0, 10.0, 12.0])
    >>> result.p, result.difference, result.better
    (0.03125, -3.5, 6)
    """
    one, two = vector(first, "first"), vector(second, "second")
    if len(one) != len(two):
        raise InputError(f"paired: {len(one)} and {len(two)} losses; give one of each arm in every trial")
    change = one - two
    n = len(change)
    p = 1.0 if not change.any() else float(stats.wilcoxon(change, zero_method="pratt").pvalue)
    i, j = np.triu_indices(n)
    # Hodges and Lehmann 1963: the median of the Walsh averages (d_i + d_j) / 2, i <= j.
    walsh = np.sort((change[i] + change[j]) / 2)
    # As many on each side lie outside as keep P(T+ < outside) within 2.5 %.
    low, high = _bounds(walsh, int(np.searchsorted(_signed_rank(n), LEVEL / 2, side="right")))
    return Comparison(n, float(np.median(walsh)), low, high, p, _spread(change), int((change < 0).sum()))


def unpaired(first: ArrayLike, second: ArrayLike) -> Comparison:
    """Compare losses of two arms whose trials do not belong together: the test of Mann and Whitney.

    The difference is the median of all differences of pairs; n is the smaller number of trials.

    >>> unpaired([1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0]).difference
    -10.0
    """
    one, two = vector(first, "first"), vector(second, "second")
    p = float(stats.mannwhitneyu(one, two).pvalue) if len(set(one) | set(two)) > 1 else 1.0
    differences = np.sort((one[:, None] - two).ravel())
    # The order statistics by U's normal approximation, variance m n (m + n + 1) / 12 (Conover 1999, 5.4).
    m, n = len(one), len(two)
    outside = math.floor(m * n / 2 - stats.norm.ppf(1 - LEVEL / 2) * math.sqrt(m * n * (m + n + 1) / 12))
    low, high = _bounds(differences, outside)
    spread = math.hypot(_spread(one), _spread(two))
    return Comparison(min(m, n), float(np.median(differences)), low, high, p, spread)


def bootstrap(
    values: ArrayLike,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    clusters: Sequence[Hashable] | None = None,
    least: int = FEWEST,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of a mean (Efron 1979), never outside [low, high].

    None where it would say more than the values do: below ``least`` clusters, or where all are equal.

    Args:
        values: numbers (n,) within [low, high].
        low: the least that a value can be, 0 for a regret.
        high: the greatest that a value can be.
        clusters: (n,) what is drawn together, such as the pairs of a sequence; None: each value alone.
        least: clusters below which there is no interval.
        seed: of the 10,000 resamples.

    >>> bootstrap([1.0, 2.0]) is None
    True
    >>> low, high = bootstrap([0.0, 0.1, 0.0, 0.3, 0.0, 0.2, 0.0], low=0.0)
    >>> 0 <= low < high
    True
    """
    numbers = vector(values, "values", low, high)
    labels = range(len(numbers)) if clusters is None else clusters
    if len(labels) != len(numbers):
        raise InputError(f"clusters: {len(labels)} for {len(numbers)} values; give one a value")
    _, place = np.unique(np.asarray(labels), return_inverse=True)
    sums, sizes = np.bincount(place, numbers), np.bincount(place)
    n = len(sums)
    if n < least or np.ptp(numbers) == 0:
        return None
    random = numpy_generator(seed, "bootstrap of a mean", n)
    means: list[float] = []
    while len(means) < DRAWS:  # in blocks, or the counts of many values would fill the memory
        counts = random.multinomial(n, np.full(n, 1 / n), min(DRAWS - len(means), max(1, BLOCK // n)))
        means += (counts @ sums / (counts @ sizes)).tolist()
    ends = np.percentile(means, [100 * LEVEL / 2, 100 * (1 - LEVEL / 2)])
    return float(ends[0]), float(ends[1])


def proportion(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of n trials (Clopper and Pearson 1934).

    >>> [round(end, 3) for end in proportion(0, 20)]
    [0.0, 0.168]
    """
    if not 0 <= successes <= n or n < 1:
        raise InputError(f"proportion: {successes} of {n}; expected 0 to n successes of at least one trial")
    interval = stats.binomtest(successes, n).proportion_ci(1 - LEVEL, method="exact")
    return float(interval.low), float(interval.high)


def critical_difference(table: Mapping[str, ArrayLike]) -> Ranks:
    """Rank arms over problems (Demsar 2006): mean ranks, Friedman's p, Nemenyi's critical difference.

    Args:
        table: losses (N,) of each arm, one a problem, in the same order of problems.

    >>> ranks = critical_difference({"a": [1] * 8, "b": [3, 2] * 4, "c": [2, 3] * 4})
    >>> ranks.mean.tolist(), ranks.cliques
    ([1.0, 2.5, 2.5], (('a',), ('b', 'c')))
    """
    names = tuple(table)
    losses = [vector(row, name) for name, row in table.items()]
    if len(names) < 2 or len({len(row) for row in losses}) > 1:
        lengths = ", ".join(f"{name}: {len(row)}" for name, row in zip(names, losses, strict=True))
        raise InputError(f"ranks: {lengths or 'no arm'}; give two arms or more, each on the same problems")
    ranks = np.mean([stats.rankdata(problem) for problem in np.stack(losses, 1)], axis=0)
    problems, arms = len(losses[0]), len(names)
    if all((row == losses[0]).all() for row in losses):
        friedman = 1.0  # ties alone, of which the statistic is 0 / 0
    else:
        friedman = float(stats.friedmanchisquare(*losses).pvalue) if arms > 2 else paired(*losses).p
    # Nemenyi 1963: CD = q_alpha sqrt(k (k + 1) / (6 N)); Demsar 2006, section 3.2.2.
    q = float(stats.studentized_range.ppf(1 - LEVEL, arms, np.inf)) / math.sqrt(2)
    critical = q * math.sqrt(arms * (arms + 1) / (6 * problems)) if problems >= PROBLEMS else None
    return Ranks(names, ranks, friedman, critical, _cliques(names, losses, ranks))


def compare_all(arms: Mapping[str, ArrayLike]) -> dict[tuple[str, str], tuple[Comparison, float]]:
    """Compare every pair of arms: the comparison, and its p-value adjusted for the number of pairs (Holm).

    The better of two by mean stands first. All pairs count, even where few are shown: which ones are shown
    depends on the losses. Arms of unequal numbers of trials are not paired.

    Args:
        arms: losses (n,) of each arm, one a trial, the trials in the same order.

    >>> table = compare_all({"a": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "b": [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]})
    >>> {pair: p for pair, (_, p) in table.items()}
    {('a', 'b'): 0.03125}
    """
    losses = {name: vector(row, name) for name, row in arms.items()}
    order = sorted(losses, key=lambda name: losses[name].mean())
    pairs = [(a, b) for place, a in enumerate(order) for b in order[place + 1 :]]
    results = [_compared(losses[a], losses[b]) for a, b in pairs]
    adjusted = holm([result.p for result in results]) if pairs else np.zeros(0)
    return {pair: (result, float(p)) for pair, result, p in zip(pairs, results, adjusted, strict=True)}


def _compared(first: Floats, second: Floats) -> Comparison:
    return paired(first, second) if len(first) == len(second) else unpaired(first, second)


def verdict(
    first: str,
    second: str,
    result: Comparison,
    *,
    p: float | None = None,
    comparisons: int = 1,
    unit: str = "",
) -> str:
    """Return one sentence: which arm is better, by how much and how surely, or what could have been seen.

    Args:
        first: name of the first arm.
        second: name of the second arm.
        result: their comparison.
        p: its p-value adjusted for all comparisons of the page; None: as it is.
        comparisons: how many comparisons the page makes.
        unit: of the losses, " points" for instance.

    >>> arms = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    >>> verdict("A", "B", paired(*arms))
    'A beats B by 3.5 (1 to 6), p = 0.031, better in 6 of 6 trials'
    """
    value = result.p if p is None else p
    text = f"p = {value:.2g}" + (" after Holm" if p is not None else "")
    if value < LEVEL and result.difference != 0:
        winner, loser, sign = (first, second, -1) if result.difference < 0 else (second, first, 1)
        ends = [sign * end + 0.0 for end in (result.low, result.high) if end is not None]  # no -0
        interval = f" ({min(ends):.3g} to {max(ends):.3g})" if ends else ""
        wins = result.better if sign < 0 or result.better is None else result.n - result.better
        count = "trials not paired" if wins is None else f"better in {wins} of {result.n} trials"
        return f"{winner} beats {loser} by {abs(result.difference):.3g}{unit}{interval}, {text}, {count}"
    text = f"no difference between {first} and {second} shown ({text}, n = {result.n})"
    if result.low is None:
        return f"{text}; so few trials can show none"
    least = detectable(result, comparisons)
    return f"{text}; {least:.2g}{unit} would have been seen with 80 % chance" if least > 0 else text


def detectable(result: Comparison, comparisons: int = 1) -> float:
    """Return the difference that trials of such a spread show with a power of 80 %.

    For normal differences, where the test needs pi / 3 times the trials of a t-test (Lehmann 1975).

    >>> round(detectable(Comparison(20, 0.0, None, None, 1.0, spread=1.0)), 2)
    0.64
    """
    z = stats.norm.ppf(1 - LEVEL / comparisons / 2) + stats.norm.ppf(0.8)
    return float(z * result.spread * math.sqrt(math.pi / 3 / result.n))


def vector(numbers: ArrayLike, name: str, low: float = -math.inf, high: float = math.inf) -> Floats:
    """Return numbers (n,) as an array; ``InputError`` names ``name`` where one is missing or out of range."""
    try:
        values = np.asarray(numbers, float)
    except (TypeError, ValueError):
        raise InputError(f"{name}: expected a list of numbers, got {shown(numbers)}") from None
    if values.ndim != 1 or not len(values):
        raise InputError(f"{name}: expected a list of numbers, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise InputError(
            f"{name}: {int((~np.isfinite(values)).sum())} of {len(values)} are not finite; drop them"
        )
    if values.min() < low or values.max() > high:
        raise InputError(
            f"{name}: expected numbers in [{low:g}, {high:g}], got {values.min():g} to {values.max():g}"
        )
    return values


def _spread(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def _bounds(ordered: Floats, outside: int) -> tuple[float, float] | tuple[None, None]:
    """Return the ordered differences that leave less than ``outside`` on each side; None where it is 0."""
    return (float(ordered[outside - 1]), float(ordered[-outside])) if outside > 0 else (None, None)


def _signed_rank(n: int) -> Floats:
    """Return P(T+ <= t) for t = 0, 1, ... of Wilcoxon's statistic under equal arms without ties."""
    # The generating function of T+ is the product of (1 + x^i) / 2 over the ranks i = 1..n.
    weights = np.zeros(n * (n + 1) // 2 + 1)
    weights[0] = 1.0
    for i in range(1, n + 1):
        weights[i:] = (weights[i:] + weights[:-i]) / 2
        weights[:i] /= 2
    return np.cumsum(weights)


def _cliques(names: Sequence[str], losses: Sequence[Floats], ranks: Floats) -> tuple[tuple[str, ...], ...]:
    """Return the largest runs of arms by rank no two of which differ by Wilcoxon's test after Holm."""
    order = np.argsort(ranks, kind="stable")
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    adjusted: Any = holm([paired(losses[order[i]], losses[order[j]]).p for i, j in pairs])
    apart = {pair for pair, p in zip(pairs, adjusted, strict=True) if p < LEVEL}
    runs: list[range] = []
    for i in range(len(names)):
        end = i + 1
        while end < len(names) and not any((k, end) in apart for k in range(i, end)):
            end += 1
        if not runs or end > runs[-1].stop:
            runs.append(range(i, end))
    return tuple(tuple(names[order[k]] for k in run) for run in runs)
