"""Criteria of any number of groups: against naive loops, in exact sweeps, and refused where wrong."""

import numpy as np
import pytest
import torch

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.fairness.confusion import BINARY, Confusion, counts
from sevenfold.fairness.expressions import PRESETS, parse
from sevenfold.fairness.groups import Groups
from sevenfold.fairness.objective import FIXED, Constraint, Objective
from sevenfold.fairness.threshold import best_threshold, sweep

NAIVE = {
    "selection": lambda d, y: d,
    "tpr": lambda d, y: d[y == 1],
    "fpr": lambda d, y: d[y == 0],
    "tnr": lambda d, y: 1 - d[y == 0],
    "fnr": lambda d, y: 1 - d[y == 1],
    "ppv": lambda d, y: y[d == 1],
    "npv": lambda d, y: 1 - y[d == 0],
    "accuracy": lambda d, y: d == y,
    "error": lambda d, y: d != y,
}


def draw(stream: np.random.Generator, k: int, n: int = 40) -> tuple[np.ndarray, ...]:
    y, d = stream.integers(0, 2, (2, n))
    a = np.concatenate([np.arange(k), stream.integers(-1, k, n - k)])
    return d, y, a, np.exp(stream.standard_normal(n))


def naive(rate: str, d: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    """Return a weighted rate: the weighted mean of what ``NAIVE`` says of the people in its denominator."""
    who = {"tpr": y == 1, "fnr": y == 1, "fpr": y == 0, "tnr": y == 0, "ppv": d == 1, "npv": d == 0}
    rows = who.get(rate, np.ones(len(y), bool))
    values = NAIVE[rate](d[rows], y[rows]).astype(float)
    return float(np.average(values, weights=w[rows])) if rows.any() else float("nan")


def people(a: np.ndarray, small: int = 0) -> Groups:
    return Groups.of({"a": [None if v < 0 else int(v) for v in a]}, small=small)


def test_rates_equal_naive_ones_with_weights_and_unknown_groups() -> None:
    stream = np.random.default_rng(0)
    for k in (2, 3, 5):
        d, y, a, w = draw(stream, k)
        table = counts(torch.as_tensor(d), torch.as_tensor(y), people(a), torch.as_tensor(w))
        assert set(table.rates()) == set(BINARY)
        for name, rates in table.rates().items():
            expected = [naive(name, d[a == g], y[a == g], w[a == g]) for g in range(k)]
            assert rates.tolist() == pytest.approx(expected, nan_ok=True, abs=1e-12)
            assert float(table.overall(name)) == pytest.approx(naive(name, d, y, w), abs=1e-12)
        n = [w[a == g].sum() ** 2 / (w[a == g] ** 2).sum() for g in range(k)]
        assert table.effective("selection").tolist() == pytest.approx(n)


def test_rates_of_classes_equal_naive_ones() -> None:
    stream = np.random.default_rng(1)
    d, y = stream.integers(0, 3, (2, 60))
    a = np.arange(60) % 2
    table = counts(torch.as_tensor(d), torch.as_tensor(y), torch.as_tensor(a), classes=3)
    for g in (0, 1):
        one, label = d[a == g], y[a == g]
        assert float(table.rate("accuracy")[g]) == pytest.approx((one == label).mean())
        for c in range(3):
            assert float(table.rate(f"selection[{c}]")[g]) == pytest.approx((one == c).mean())
            assert float(table.rate(f"recall[{c}]")[g]) == pytest.approx((one[label == c] == c).mean())
            assert float(table.rate(f"precision[{c}]")[g]) == pytest.approx((label[one == c] == c).mean())
    assert table.table.sum() == 60
    assert str(parse('gap(recall["Low"])', ("High", "Low"))) == "gap(recall[1])"


EXPRESSIONS = {
    "gap(tpr)": lambda r: max(r["tpr"]) - min(r["tpr"]),
    "ratio(selection)": lambda r: min(r["selection"]) / max(r["selection"]) if max(r["selection"]) else 1.0,
    "worst(accuracy)": lambda r: min(r["accuracy"]),
    "best(fpr)": lambda r: max(r["fpr"]),
    "max(gap(fpr), gap(tpr))": lambda r: max(np.ptp(r["fpr"]), np.ptp(r["tpr"])),
    "mean(gap(fpr), gap(tpr))": lambda r: (np.ptp(r["fpr"]) + np.ptp(r["tpr"])) / 2,
    'abs(difference(tnr, "a=0", "a=1"))': lambda r: abs(r["tnr"][0] - r["tnr"][1]),
    "gap(ppv)": lambda r: np.ptp(r["ppv"]),
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_check_09_sweeps_of_any_groups_equal_brute_force(text: str) -> None:
    stream = np.random.default_rng(len(text))
    for case in range(40):
        k, weighted = 2 + case % 4, case % 3 == 0
        compared = 2 if "difference" in text else k
        _, y, a, w = draw(stream, k, 24)
        s = stream.integers(-4, 5, 24) / 2 if case % 2 else stream.standard_normal(24)
        weights = torch.as_tensor(w) if weighted else None
        sense = ">=" if text.startswith(("ratio", "worst")) else "<="
        objective = Objective(constraints=[f"{text} {sense} 0.3"], margin=0.0)
        groups, labels, scores = people(a), torch.as_tensor(y), torch.as_tensor(s)
        full = sweep(scores[None], labels, groups, objective, weights=weights)
        values = []
        for place in full.valid[0].nonzero()[:, 0].tolist():
            d = (s > float(full.thresholds[0, place])).astype(int)
            v = w if weighted else np.ones(24)
            rates = {r: [naive(r, d[a == g], y[a == g], v[a == g]) for g in range(k)] for r in NAIVE}
            expected = EXPRESSIONS[text](rates)
            if any(map(np.isnan, np.ravel([rates[r][:compared] for r in rates if r in text]))):
                expected = float("nan")
            assert float(full.mu[0, place]) == pytest.approx(expected, abs=1e-12, nan_ok=True)
            right = (naive("tpr", d, y, v) + naive("tnr", d, y, v)) / 2
            assert float(full.rho[0, place]) == pytest.approx(right, abs=1e-12, nan_ok=True)
            feasible = expected >= 0.3 - 1e-12 if sense == ">=" else expected <= 0.3 + 1e-12
            values.append(right if feasible and right == right else 0.0)
        best = best_threshold(scores[None], labels, groups, objective, weights=weights)
        assert float(best.phi[0]) == pytest.approx(max(values), abs=1e-12)


def test_where_nothing_is_feasible_the_least_violation_is_chosen() -> None:
    stream = np.random.default_rng(5)
    _, y, a, _ = draw(stream, 3, 60)
    s = stream.standard_normal(60) + a
    objective = Objective(constraints=["worst(selection) >= 0.2", "best(selection) <= 0.1"], margin=0.0)
    args = torch.as_tensor(y), people(a), objective
    best = best_threshold(torch.as_tensor(s)[None], *args)
    full = sweep(torch.as_tensor(s)[None], *args)
    assert float(best.phi) == 0 and float(best.missed) == float(full.missed[full.valid].min()) > 0


def test_check_13_losses_are_measured_from_the_base_network() -> None:
    y, groups = torch.arange(40) % 2, people(np.arange(40) // 20)
    base = counts((torch.arange(40) % 20 < 10).long(), y, groups)
    after = counts((torch.arange(40) % 20 < 6 + 6 * (torch.arange(40) // 20)).long(), y, groups)
    assert float(parse("loss(selection)").value(after, base)) == pytest.approx(0.2)
    objective = Objective(constraints=["loss(selection) <= 0.1"], margin=0.0)
    assert objective.compares and not objective.met(after, base) and objective.met(base, base)
    with pytest.raises(InputError, match="compares with the base network"):
        objective.value(after)


def test_presets_mean_what_they_say_and_small_groups_do_not_bind() -> None:
    stream = np.random.default_rng(2)
    d, y, a, _ = draw(stream, 2, 200)
    two = counts(torch.as_tensor(d), torch.as_tensor(y), torch.as_tensor(np.abs(a)))
    for name in PRESETS:
        assert parse(name).value(two).shape == ()
    assert parse("equalized_odds").value(two) == parse("eqodds").value(two)
    assert str(Objective(measure="four_fifths").terms[0]) == "ratio(selection) >= 0.8"
    assert Objective(measure="min_max").terms == () and FIXED["min_max"] == []
    tiny = np.concatenate([a, np.full(5, 2)])
    d, y = np.concatenate([d, np.ones(5, int)]), np.concatenate([y, np.ones(5, int)])
    three = counts(torch.as_tensor(d), torch.as_tensor(y), people(tiny, small=30))
    # the five people, who all get 1, are shown and do not bind
    assert float(parse("gap(selection)").value(three)) < 0.3 < float(np.ptp(three.rate("selection").numpy()))
    alone = counts(torch.ones(9), torch.arange(9) % 2, people(np.arange(9) % 3, small=30))
    assert bool(parse("gap(selection)").value(alone).isnan())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gap(selction) <= 1", "'selction' is no rate. Did you mean 'selection'"),
        ("gpa(tpr) <= 1", "'gpa' .*Did you mean 'gap'"),
        ("gap(tpr)", "is no constraint"),
        ("gap(tpr) <= x", "right side must be a number"),
        ("gap(tpr) == 1", "is no constraint"),
        ("gap(tpr", "is no constraint"),
        ("gap() <= 1", "takes a rate"),
        ("gap(tpr, race) <= 1", "must be a name in quotes"),
        ("difference(tpr, 'a') <= 1", "no or two groups"),
        ("abs(gap(tpr), gap(fpr)) <= 1", "needs one criterion"),
        ("gap(recall['Low']) <= 1", "'Low' in .* is no class"),
        ("tpr <= 1", "'tpr' in 'tpr' is no criterion"),
        ("__import__('os') <= 1", "is no criterion"),
    ],
)
def test_what_is_no_constraint_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Constraint.of(text)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError) as error:
        Objective(constraints=[text])
    assert error.value.key == "constraints"


def test_groups_that_are_not_there_are_refused() -> None:
    table = counts(torch.ones(6), torch.arange(6) % 2, people(np.arange(6) % 3))
    for text, message in (
        ("spd", "is of two groups, and there are 3"),
        ("gap(tpr, 'race')", "no groups are defined by 'race'"),
        ('difference(tpr, "a=0", "a=9")', "no group 'a=9'"),
        ("gap(recall[4])", "is of class 4"),
    ):
        with pytest.raises(InputError, match=message):
            parse(text).value(table)
    with pytest.raises(InputError, match="exchanged"):
        Confusion.two(torch.full((2, 2), 3.0), torch.full((2, 2), 2.0))
