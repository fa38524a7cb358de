"""Statistics of repeated trials: published values, brute force, and simulations with stated error rates."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from sevenfold.errors import InputError
from sevenfold.evidence import (
    Comparison,
    bootstrap,
    compare_all,
    critical_difference,
    detectable,
    holm,
    paired,
    proportion,
    unpaired,
    verdict,
)
from sevenfold.targets import area, time_to_target

ZERO = np.zeros


def test_wilcoxon_has_the_exact_values_of_its_tables():
    assert paired(range(1, 7), ZERO(6)).p == 0.03125
    assert paired(range(1, 21), ZERO(20)).p == pytest.approx(1.907e-6, rel=1e-3)
    assert paired(ZERO(20), ZERO(20)).p == 1


def test_wilcoxon_and_its_interval_equal_an_enumeration_of_all_signs():
    random = np.random.default_rng(3)
    for n in (6, 7, 9):
        change = random.normal(0.4, 1, n)
        result = paired(change, ZERO(n))
        ranks = stats.rankdata(abs(change))
        sums = np.array([np.dot(signs, ranks) for signs in product((0, 1), repeat=n)])
        positive = ranks[change > 0].sum()
        tail = min((sums <= positive).mean(), (sums >= positive).mean())
        assert result.p == pytest.approx(min(1, 2 * tail))
        # The interval is what the test does not reject: shifts just inside and just outside of its ends.
        for end, step in ((result.low, 1e-9), (result.high, -1e-9)):
            assert paired(change - (end + step), ZERO(n)).p > 0.05 >= paired(change - (end - step), ZERO(n)).p


def test_the_difference_is_shifted_with_the_losses_and_turned_with_the_order():
    random = np.random.default_rng(0)
    one, two = random.gamma(2.0, size=(2, 30))
    for compare in (paired, unpaired):
        there, back, moved = compare(one, two), compare(two, one), compare(one + 3, two)
        assert there.difference == pytest.approx(-back.difference)
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
        assert moved.difference == pytest.approx(there.difference + 3)
        assert there.p == pytest.approx(back.p)


@pytest.mark.parametrize("n", [8, 25])
def test_intervals_of_a_difference_hold_the_true_one_in_95_percent_or_more(n):
    random = np.random.default_rng(n)
    draws, inside = 800, {"paired": 0, "unpaired": 0}
    for _ in range(draws):
        one, two = random.standard_t(4, (2, n)) + [[0.7], [0.0]]
        for name, result in {"paired": paired(one, two), "unpaired": unpaired(one, two)}.items():
            inside[name] += result.low <= 0.7 <= result.high
    slack = 3 * math.sqrt(0.95 * 0.05 / draws)
    assert all(0.95 - slack <= count / draws for count in inside.values()), inside


def test_holm_adjusts_as_in_the_textbook():
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.9]).tolist() == [1.0, 1.0]


def test_critical_differences_are_nemenyis():
    for arms, q in ((2, 1.960), (3, 2.344), (5, 2.728), (10, 3.164)):
        table = {str(arm): np.roll(np.arange(30.0), arm) for arm in range(arms)}
        expected = q * math.sqrt(arms * (arms + 1) / 6 / 30)
        assert critical_difference(table).critical == pytest.approx(expected, abs=5e-4)
    five = {str(arm): np.roll(np.arange(30.0), arm) for arm in range(5)}
    assert critical_difference(five).critical == pytest.approx(1.114, abs=5e-4)
    assert critical_difference({"a": [1, 2, 3, 4], "b": [2, 3, 4, 5]}).critical is None  # four problems


def test_ranks_and_friedman_equal_scipy_and_cliques_hold_what_does_not_differ():
    random = np.random.default_rng(1)
    losses = random.normal(size=(4, 12)) + np.array([0, 0.1, 5, 5.1])[:, None]
    ranks = critical_difference(dict(zip("abcd", losses, strict=True)))
    assert ranks.mean == pytest.approx(stats.rankdata(losses, axis=0).mean(1))
    assert ranks.friedman == pytest.approx(stats.friedmanchisquare(*losses).pvalue)
    assert {frozenset(clique) for clique in ranks.cliques} == {frozenset("ab"), frozenset("cd")}


def test_equal_arms_have_equal_ranks():
    ranks = critical_difference({name: [1.0] * 6 for name in "abc"})
    assert ranks.mean.tolist() == [2, 2, 2] and ranks.friedman == 1 and ranks.cliques == (tuple("abc"),)


def test_shares_have_the_published_intervals():
    assert proportion(6, 6) == pytest.approx((0.541, 1.0), abs=5e-4)
    assert proportion(0, 20) == pytest.approx((0.0, 0.168), abs=5e-4)


def test_bootstraps_stay_within_range_and_cover_the_mean():
    random = np.random.default_rng(5)
    draws, inside = 200, 0
    for _ in range(draws):
        values = np.maximum(0.0, random.normal(0.5, 0.5, 40))
        low, high = bootstrap(values, low=0.0)
        assert low >= 0
        truth = 0.5 * stats.norm.cdf(1) + 0.5 * stats.norm.pdf(1)  # the mean of the cut normal
        inside += low <= truth <= high
    assert 0.87 <= inside / draws <= 0.98
    assert bootstrap([0.1, 0.2]) is None and bootstrap([0.5] * 20) is None


def test_a_bootstrap_is_that_of_resampled_values():
    values = np.random.default_rng(2).gamma(2.0, size=30)
    random = np.random.default_rng(9)
    means = np.array([random.choice(values, 30).mean() for _ in range(20_000)])
    assert bootstrap(values) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=0.03)


@pytest.mark.slow
def test_pages_of_equal_arms_say_beats_in_at_most_five_percent_and_see_a_shift():
    random = np.random.default_rng(11)
    pages, wrong, right = 400, 0, 0
    for _ in range(pages):
        arms = dict(zip("abcde", random.normal(size=(5, 20)), strict=True))
        wrong += any(p < 0.05 for _, p in compare_all(arms).values())
        arms["e"] = arms["e"] - 1  # by one standard deviation of a trial
        table = compare_all(arms)
        right += any(p < 0.05 and pair[0] == "e" for pair, (_, p) in table.items())
    assert wrong / pages <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / pages)
    assert right / pages >= 0.6


def test_the_difference_that_would_have_been_seen_is_seen_in_four_of_five_pages():
    random = np.random.default_rng(4)
    draws, n = 600, 20
    least = detectable(Comparison(n, 0.0, None, None, 1.0, spread=1.0))
    seen = sum(paired(random.normal(least, 1, n), ZERO(n)).p < 0.05 for _ in range(draws))
    assert abs(seen / draws - 0.8) <= 0.03 + 3 * math.sqrt(0.8 * 0.2 / draws)


def test_running_times_are_those_of_a_loop():
    random = np.random.default_rng(6)
    curves = np.minimum.accumulate(random.integers(1, 40, (7, 25)).astype(float), axis=1)
    reached = time_to_target(curves, random=[20.0, 30.0, 10.0], optimum=1.0)
    for k, loss in enumerate(reached.losses):
        times = [next((t + 1 for t, value in enumerate(row) if value <= loss), math.inf) for row in curves]
        assert reached.times[:, k].tolist() == times
        hits = sum(math.isfinite(time) for time in times)
        spent = sum(min(time, 25) for time in times)
        assert reached.expected[k] == (spent / hits if hits else math.inf)
    assert reached.losses[-1] == 1.0 and (np.diff(reached.losses) < 0).all()
    assert reached.share(25) == np.isfinite(reached.times).mean()
    thinned = time_to_target(curves[:, 4::5], [20.0, 30.0, 10.0], 1.0, evaluations=range(5, 26, 5))
    later = np.where(np.isfinite(reached.times), 5 * np.ceil(reached.times / 5), np.inf)
    assert thinned.times.tolist() == later.tolist()
    assert area(curves - 1) == pytest.approx(np.log10(curves - 1 + 1e-3).mean(1))


def test_sentences_say_who_is_better_or_what_could_have_been_seen():
    low, high = np.arange(1.0, 21), np.arange(1.0, 21) * 1.1 + 1
    text = verdict("ours", "theirs", paired(low, high), p=3e-6, unit=" points")
    assert text.startswith("ours beats theirs by 2.05 points (") and "better in 20 of 20 trials" in text
    assert verdict("theirs", "ours", paired(high, low), p=3e-6, unit=" points") == text
    random = np.random.default_rng(0)
    equal = paired(random.normal(size=20), random.normal(size=20))
    text = verdict("a", "b", equal)
    assert text.startswith("no difference between a and b shown (p = ") and "80 % chance" in text
    assert verdict("a", "b", paired([1.0, 2.0], [2.0, 4.0])).endswith("so few trials can show none")
    assert "not paired" in verdict("a", "b", unpaired(ZERO(9) + np.arange(9) / 9, np.arange(30) + 5.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired([1.0, 2.0], [1.0]), "2 and 1 losses"),
        (lambda: paired([1.0, math.nan], [1.0, 2.0]), "first: 1 of 2 are not finite"),
        (lambda: paired([], []), "expected a list of numbers"),
        (lambda: paired(["a"], [1.0]), "expected a list of numbers, got"),
        (lambda: holm([0.5, 1.5]), r"expected numbers in \[0, 1\], got 0.5 to 1.5"),
        (lambda: bootstrap([-0.1] * 7, low=0.0), "got -0.1 to -0.1"),
        (lambda: proportion(7, 6), "7 of 6"),
        (lambda: critical_difference({"a": [1.0]}), "give two arms or more"),
        (lambda: critical_difference({"a": [1.0, 2.0], "b": [1.0]}), "a: 2, b: 1"),
        (lambda: time_to_target([[1.0, 2.0]], [3.0], 0.0), "best losses so far"),
        (lambda: time_to_target([[2.0, 1.0]], [3.0], 1.5), "no trial undercuts"),
        (lambda: time_to_target([[2.0, 1.0]], [3.0], 0.0, evaluations=[5]), "2 growing numbers"),
        (lambda: area([[-1.0]]), "0 or more"),
    ],
)
def test_misuse_ends_in_one_line(call, message):
    with pytest.raises(InputError, match=message):
        call()
