"""Measures of bias, compared with two libraries, and their values on degenerate cells."""

import math

import numpy as np
import pytest
import torch

from sevenfold.fairness.confusion import counts
from sevenfold.fairness.group_confusion import GroupConfusion
from sevenfold.fairness.measures import MEASURES, bias, performance, soft_bias


def draw(seed: int, n: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    stream = np.random.default_rng(seed)
    return tuple(stream.integers(0, 2, (3, n)))


def ours(name: str, d: np.ndarray, y: np.ndarray, a: np.ndarray, **options: str) -> float:
    return float(bias(name, counts(*map(torch.as_tensor, (d, y, a))), **options))


def test_measures_equal_those_of_aif360() -> None:
    pytest.importorskip("aif360")
    import warnings

    import pandas

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from aif360.datasets import BinaryLabelDataset
        from aif360.metrics import ClassificationMetric
    for seed in range(200):
        d, y, a = draw(seed)
        sets = [
            BinaryLabelDataset(
                df=pandas.DataFrame({"a": a, "y": v}).astype(float),
                label_names=["y"],
                protected_attribute_names=["a"],
            )
            for v in (y, d)
        ]
        metric = ClassificationMetric(*sets, unprivileged_groups=[{"a": 0}], privileged_groups=[{"a": 1}])
        theirs = {
            "spd": metric.statistical_parity_difference(),
            "eod": metric.equal_opportunity_difference(),
            "aod": metric.average_odds_difference(),
        }
        for name, value in theirs.items():
            assert ours(name, d, y, a) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("seeds", [range(30), pytest.param(range(30, 200), marks=pytest.mark.slow)])
def test_measures_equal_those_of_fairlearn(seeds: range) -> None:
    from fairlearn.metrics import (
        demographic_parity_difference,
        equal_opportunity_difference,
        equalized_odds_difference,
    )

    pairs = {
        "spd": demographic_parity_difference,
        "eod": equal_opportunity_difference,
        "eqodds": equalized_odds_difference,
    }
    for seed in seeds:
        d, y, a = draw(seed)
        for name, theirs in pairs.items():
            assert abs(ours(name, d, y, a)) == pytest.approx(theirs(y, d, sensitive_features=a), abs=1e-12)


def test_opposite_gaps_cancel_in_aod_only() -> None:
    a = np.repeat([0, 1], 40)
    y = np.tile(np.repeat([0, 1], 20), 2)
    d = np.concatenate([np.arange(20) < k for k in (6, 8, 4, 10)]).astype(int)  # FPR gap .1, TPR gap -.1
    assert ours("aod", d, y, a) == pytest.approx(0, abs=1e-12)
    assert ours("aaod", d, y, a) == pytest.approx(0.1) == ours("eqodds", d, y, a)


@pytest.mark.parametrize(
    ("a", "y", "undefined"),
    [
        ([1, 1, 1, 1], [0, 1, 0, 1], set(MEASURES)),  # one group absent
        ([0, 0, 1, 1], [0, 0, 0, 1], {"eod", "aod", "aaod", "eqodds"}),  # no positives in group 0
        ([0, 0, 1, 1], [1, 1, 0, 1], {"aod", "aaod", "eqodds"}),  # no negatives in group 0
        ([1], [1], set(MEASURES)),  # one person
    ],
)
@pytest.mark.parametrize("decision", [0, 1])
def test_measures_of_empty_cells_are_undefined(
    a: list[int], y: list[int], undefined: set[str], decision: int
) -> None:
    d = np.full(len(a), decision)
    for name in MEASURES:
        value = ours(name, d, np.array(y), np.array(a))
        assert math.isnan(value) == (name in undefined), name
        assert not math.isnan(ours(name, d, np.array(y), np.array(a), empty="zero"))


def test_an_empty_rate_counted_as_zero_invents_a_bias() -> None:
    d, y, a = np.array([0, 1, 0]), np.array([0, 1, 1]), np.array([0, 1, 1])
    assert math.isnan(ours("eod", d, y, a)) and ours("eod", d, y, a, empty="zero") == -0.5


def test_soft_bias_of_hard_decisions_is_the_bias_and_has_gradients() -> None:
    d, y, a = map(torch.as_tensor, draw(1))
    for name in MEASURES:
        assert float(soft_bias(name, d.double(), y, a)) == pytest.approx(float(bias(name, counts(d, y, a))))
    soft = torch.rand(80, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: soft_bias("spd", s, y, a), (soft,))


def test_streaming_counts_do_not_depend_on_the_batches() -> None:
    d, y, a = map(torch.as_tensor, draw(4, 101))
    metric = GroupConfusion()
    for part in range(0, 101, 7):
        metric.update(d[part : part + 7], y[part : part + 7], a[part : part + 7])
    table = counts(d, y, a)
    assert metric.compute()["balanced_accuracy"] == performance("balanced_accuracy", table)
    assert all(metric.compute()[name] == bias(name, table) for name in MEASURES)
