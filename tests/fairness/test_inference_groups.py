"""Intervals of any number of groups and of weights, comparisons of two methods, many verdicts at once."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.evidence import holm
from sevenfold.fairness.comparisons import absolute_difference, compare, p_value
from sevenfold.fairness.confusion import Confusion, counts
from sevenfold.fairness.expressions import parse
from sevenfold.fairness.groups import Groups, Layout
from sevenfold.fairness.inference import VERDICTS, interval, noise_floor, verdict

DRAWS = 800
ERROR = (0.94 * 0.06 / DRAWS) ** 0.5


def layout(k: int, small: int = 0) -> Layout:
    member = tuple((*(i == j for j in range(k)), False) for i in range(k))
    return Layout(
        tuple(f"a={i}" for i in range(k)), member, {"a": tuple(range(k))}, small, 10 if small else 0
    )


def draw(rates: list[float], n: int, draws: int = DRAWS) -> Confusion:
    """Return samples of n people in each of k groups, half of them with label 1, decided 1 at a rate."""
    stream = np.random.default_rng([n, len(rates)])
    positives = np.zeros((draws, len(rates) + 1, 2, 1))
    totals = np.zeros((draws, len(rates) + 1, 2))
    for g, p in enumerate(rates):
        totals[:, g, 1] = stream.binomial(n, 0.5, draws)
        totals[:, g, 0] = n - totals[:, g, 1]
        positives[:, g, :, 0] = stream.binomial(totals[:, g].astype(int), p)
    return Confusion(torch.as_tensor(positives), torch.as_tensor(totals), layout(len(rates)))


def covered(ends: tuple[Tensor, Tensor], value: float) -> float:
    low, high = ends
    return float(((low <= value + 1e-12) & (value <= high + 1e-12)).double().mean())


@pytest.mark.parametrize("k", [3, 5, 10])
def test_check_03_gaps_of_many_groups_are_covered(k: int) -> None:
    for rates in ([0.5] * k, list(np.linspace(0.3, 0.6, k))):
        gap = max(rates) - min(rates)
        assert covered(interval("gap(selection)", draw(rates, 200)), gap) >= 0.94 - 3 * ERROR


def test_check_04_ratios_and_extreme_rates_are_covered() -> None:
    for rates in ([0.3, 0.6], [0.5, 0.5], [0.2, 0.4, 0.5]):
        sample = draw(rates, 150)
        for text, value in (
            ("ratio(selection)", min(rates) / max(rates)),
            ("worst(selection)", min(rates)),
            ("best(selection)", max(rates)),
            ("max(gap(tpr), gap(fpr))", max(rates) - min(rates)),
        ):
            assert covered(interval(text, sample), value) >= 0.93 - 3 * ERROR, text


def test_check_04_weights_are_covered_by_the_effective_number_and_not_by_the_plain_one() -> None:
    stream, n, plain, ours = np.random.default_rng(1), 300, 0, 0
    truth = 0.2
    for _ in range(300):
        a = np.arange(n) % 2
        d = (stream.random(n) < 0.3 + truth * (1 - a)).astype(int)
        w = np.exp(stream.standard_normal(n))
        table = counts(torch.as_tensor(d), torch.as_tensor(a * 0), torch.as_tensor(a), torch.as_tensor(w))
        # the plain number: weights scaled to the size of the sample, taken as people
        scale = n / w.sum()
        wrong = Confusion(table.positives * scale, table.totals * scale)
        ours += covered(interval("spd", table), truth)
        plain += covered(interval("spd", wrong), truth)
    assert ours / 300 >= 0.93 - 3 * (0.06 / 300) ** 0.5 and plain / 300 < 0.9


def test_check_07_exact_laws() -> None:
    sample = draw([0.2, 0.4, 0.5], 100, 5)
    order = [2, 0, 1, 3]
    other = Confusion(sample.positives[:, order], sample.totals[:, order], sample.layout)
    for text in ("gap(selection)", "max(gap(tpr), gap(fpr))", "ratio(tpr)"):
        for one, two in zip(interval(text, sample), interval(text, other), strict=True):
            assert torch.allclose(one, two, atol=1e-12, rtol=0)
    stream = np.random.default_rng(0)
    y, a, d, e = map(torch.as_tensor, stream.integers(0, 2, (4, 300)))
    w = torch.as_tensor(np.exp(stream.standard_normal(300)))
    for measure in ("spd", "aaod", "gap(ppv)"):
        one, two = (interval(measure, counts(d, y, a, v)) for v in (w, 2 * w))
        assert torch.allclose(torch.stack(one), torch.stack(two), atol=1e-12, rtol=0)
    unit = interval("spd", counts(d, y, a, torch.ones(300))), interval("spd", counts(d, y, a))
    assert torch.allclose(torch.stack(unit[0]), torch.stack(unit[1]), atol=1e-12, rtol=0)
    forth, back = compare(d, e, y, a, "spd"), compare(e, d, y, a, "spd")
    assert (forth.estimate, forth.low, forth.high) == pytest.approx((-back.estimate, -back.high, -back.low))


def test_check_08_a_difference_of_absolute_values() -> None:
    a, b = torch.randn(2, 10_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).tolist()
    for x, z in zip(a[:2000], b[:2000], strict=True):
        assert absolute_difference(x + z, x - z) == pytest.approx(abs(x) - abs(z), abs=1e-15)


@pytest.mark.parametrize(
    ("measure", "absolute"), [("spd", False), ("balanced_accuracy", False), ("eod", True)]
)
def test_check_04_paired_differences_are_covered(measure: str, absolute: bool) -> None:
    """Two rules that agree on most people, labels and groups random."""
    stream, inside, n = np.random.default_rng(3), 0, 300
    for _ in range(200):
        y, a = stream.integers(0, 2, (2, n))
        first = (stream.random(n) < 0.3 + 0.3 * y + 0.1 * a).astype(int)
        second = np.where(stream.random(n) < 0.2, (stream.random(n) < 0.5).astype(int), first)
        # E[second] = .8 E[first] + .1 in every cell, so that every difference of rates shrinks by a fifth
        truth = {"spd": -0.1 * 0.2, "balanced_accuracy": 0.5 * 0.3 * 0.2, "eod": 0.1 * 0.2}[measure]
        result = compare(*map(torch.as_tensor, (first, second, y, a)), measure, absolute=absolute)
        inside += result.low <= truth <= result.high
    assert inside / 200 >= 0.93 - 3 * (0.06 / 200) ** 0.5


def test_check_06_holm_over_many_methods_at_the_bound() -> None:
    sample = draw([0.5, 0.55], 4000, 12 * 60)
    p = p_value("gap(selection)", sample, 0.05).view(60, 12)
    plain = sum(any(v <= 0.05 for v in row) for row in p.tolist()) / 60
    family = sum(any(holm(row) <= 0.05) for row in p.tolist()) / 60
    assert family <= 0.06 + 3 * (0.06 / 60) ** 0.5 and plain > family
    # inverted: at a level above p the verdict is "met", below it is not
    for i in range(20):
        one, value = Confusion(sample.positives[i], sample.totals[i], sample.layout), float(p.flatten()[i])
        if value < 0.4:
            assert int(verdict("gap(selection)", one, 0.05, alpha=value + 1e-6)) == 0
            assert int(verdict("gap(selection)", one, 0.05, alpha=value * 0.8)) != 0


def test_small_groups_are_not_judged() -> None:
    table = draw([0.5, 0.5], 100_000, 1)
    one = Confusion(table.positives[0], table.totals[0], layout(2))
    assert VERDICTS[int(verdict("gap(selection)", one, 0.05))] == "met"
    few = torch.cat([one.positives[:2], torch.ones(1, 2, 1).double(), one.positives[2:]])
    totals = torch.cat([one.totals[:2], torch.ones(1, 2).double(), one.totals[2:]])
    three = Confusion(few, totals, layout(3, 30))
    # two people all decided 1: neither met nor violated
    assert VERDICTS[int(verdict("gap(selection)", three, 0.05))] == "cannot tell"
    apart = Confusion(torch.cat([few[:1] * 0.5, few[1:]]), totals, layout(3, 30))
    assert VERDICTS[int(verdict("gap(selection)", apart, 0.05))] == "violated"
    alone = Confusion(few, totals, layout(3, 10**9))
    assert [float(end) for end in interval("gap(selection)", alone)] == [0.0, 1.0]
    assert VERDICTS[int(verdict("ratio(selection)", one, 0.8, sense=">="))] == "met"


def test_the_noise_floor_is_the_mean_of_fair_draws() -> None:
    fair = draw([0.3] * 6, 200, 1)
    one = Confusion(fair.positives[0], fair.totals[0], fair.layout)
    simulated = parse("gap(selection)").value(draw([0.3] * 6, 200, 2000)).mean()
    assert noise_floor("gap(selection)", one) == pytest.approx(float(simulated), rel=0.1)


def test_holm_is_bonferroni_for_the_first_and_stops_there() -> None:
    for p in itertools.permutations([0.01, 0.02, 0.3]):
        assert (holm(list(p)) <= 0.05).tolist() == [v < 0.3 for v in p]
    assert (holm([0.03, 0.01, 0.3]) <= 0.05).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d, y, a: compare(d, d[1:], y, a), "expected the same people"),
        (lambda d, y, a: compare(d * 0.5, d, y, a), "decisions must be 0 and 1"),
        (lambda d, y, a: compare(d, d, y, a, "eqodds"), "has no sign"),
        (lambda d, y, a: compare(d, d, y, a, "difference(ppv)"), "over other people under each"),
        (lambda d, y, a: interval("loss(tpr)", counts(d, y, a)), "use compare"),
        (lambda d, y, a: interval("mean(ratio(tpr), gap(tpr))", counts(d, y, a)), "which this needs"),
        (
            lambda d, y, a: verdict("spd", counts(d, y, Groups.of({"g": torch.arange(40) % 3})), 0.1),
            "two groups",
        ),
    ],
)
def test_wrong_use_is_refused_in_one_line(call, message: str) -> None:
    d = torch.arange(40) % 2
    with pytest.raises(InputError, match=message) as caught:
        call(d.float(), d, torch.arange(40) // 20)
    assert "\n" not in str(caught.value)
