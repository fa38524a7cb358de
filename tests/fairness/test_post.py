"""Post-processors, compared with those of aif360."""

import warnings

import numpy as np
import pytest
import torch

from sevenfold.config import build
from sevenfold.errors import InputError
from sevenfold.fairness import POSTPROCESSORS
from sevenfold.fairness.confusion import counts
from sevenfold.fairness.groups import Groups
from sevenfold.fairness.measures import bias, performance
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.post.calibrated import CalibratedEqualizedOdds
from sevenfold.fairness.post.equalized_odds import EqualizedOdds
from sevenfold.fairness.post.group_thresholds import GroupThresholds
from sevenfold.fairness.post.reject_option import RejectOption
from sevenfold.fairness.threshold import best_threshold

Rows = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
METRICS = {
    "spd": "Statistical parity difference",
    "aod": "Average odds difference",
    "eod": "Equal opportunity difference",
}
GROUPS = {"unprivileged_groups": [{"a": 0}], "privileged_groups": [{"a": 1}]}


def frames(rows: Rows) -> tuple:
    """Return aif360's data sets of truth and scores."""
    pytest.importorskip("aif360")
    import pandas

    s, y, a = (v.numpy().astype(float) for v in rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from aif360.datasets import BinaryLabelDataset

        table = pandas.DataFrame({"a": a, "y": y})
        true = BinaryLabelDataset(df=table, label_names=["y"], protected_attribute_names=["a"])
    predicted = true.copy(deepcopy=True)
    predicted.scores = s[:, None]
    predicted.labels = (s > 0.5).astype(float)[:, None]
    return true, predicted


@pytest.mark.parametrize("measure", METRICS)
def test_reject_option_equals_that_of_aif360(measure: str, random_rows: Rows) -> None:
    true, predicted = frames(random_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from aif360.algorithms.postprocessing import RejectOptionClassification

        theirs = RejectOptionClassification(
            **GROUPS,
            num_class_thresh=20,
            num_ROC_margin=10,
            metric_name=METRICS[measure],
            metric_ub=0.05,
            metric_lb=-0.05,
        ).fit(true, predicted)
        labels = torch.as_tensor(theirs.predict(predicted).labels[:, 0])
    s, y, a = random_rows
    ours = RejectOption(thresholds=20, margins=10, two_sided=False)
    decided = ours.fit(s, y, a, Objective(measure=measure)).predict_proba(s, a)
    assert torch.equal(counts(decided, y, a).table, counts(labels, y, a).table)
    assert ours.met and ours.threshold == pytest.approx(theirs.classification_threshold, abs=1e-12)
    assert ours.margin == pytest.approx(theirs.ROC_margin, abs=1e-12)


def test_reject_option_decides_as_two_thresholds(random_rows: Rows) -> None:
    s, y, a = random_rows
    post = RejectOption(thresholds=9, margins=5).fit(s, y, a, Objective())
    best = -1.0
    for t, m in zip(*(v.tolist() for v in post.grid()), strict=True):
        d = torch.where(a == 1, s > t + m, s >= t - m)
        table = counts(d, y, a)
        if abs(float(bias("spd", table))) <= 0.05:
            best = max(best, float(performance("balanced_accuracy", table)))
    table = counts(post.predict_proba(s, a), y, a)
    assert float(performance("balanced_accuracy", table)) == pytest.approx(best, abs=1e-12)


def test_a_one_sided_reject_option_cannot_repair_a_bias_against_the_privileged(random_rows: Rows) -> None:
    s, y, a = random_rows
    one, two = (RejectOption(two_sided=side).fit(s, y, 1 - a, Objective()) for side in (False, True))
    values = [
        float(performance("balanced_accuracy", counts(post.predict_proba(s, 1 - a), y, 1 - a)))
        for post in (one, two)
    ]
    assert values[1] > values[0] + 0.05


def test_reject_option_without_a_feasible_point_takes_the_least_bias(random_rows: Rows) -> None:
    s, y, a = random_rows
    post = RejectOption(thresholds=1, margins=1, two_sided=False).fit(a.double(), y, a, Objective())
    assert not post.met and post.threshold == pytest.approx(0.01)


def test_equalized_odds_equals_that_of_aif360(random_rows: Rows) -> None:
    true, predicted = frames(random_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from aif360.algorithms.postprocessing import EqOddsPostprocessing

        theirs = EqOddsPostprocessing(**GROUPS, seed=0).fit(true, predicted)
    s, y, a = random_rows
    ours = EqualizedOdds().fit(s, y, a, Objective())
    assert ours.value == pytest.approx(theirs.model_params.fun, abs=1e-8)
    table = counts(ours.predict_proba(s, a), y, a)
    assert float(bias("eqodds", table)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("cost", ["fpr", "fnr", "weighted"])
def test_calibrated_equalized_odds_equals_that_of_aif360(cost: str, random_rows: Rows) -> None:
    true, predicted = frames(random_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from aif360.algorithms.postprocessing import CalibratedEqOddsPostprocessing

        theirs = CalibratedEqOddsPostprocessing(**GROUPS, cost_constraint=cost, seed=0).fit(true, predicted)
    ours = CalibratedEqualizedOdds(cost=cost).fit(*random_rows, Objective())
    expected = [theirs.unpriv_mix_rate, theirs.priv_mix_rate]
    assert np.allclose(ours.mix.numpy(), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", POSTPROCESSORS)
@pytest.mark.parametrize("measure", ["spd", "aod"])
def test_every_postprocessor_returns_probabilities_within_its_bound(
    name: str, measure: str, random_rows: Rows
) -> None:
    s, y, a = random_rows
    decided = build(POSTPROCESSORS, {"name": name}, "p").fit(s, y, a, Objective(measure=measure))
    decided = decided.predict_proba(s, a)
    assert decided.shape == s.shape and (decided >= 0).all() and (decided <= 1).all()
    before = abs(float(bias(measure, counts(s > 0.5, y, a))))
    after = abs(float(bias(measure, counts(decided, y, a))))
    if name in ("reject_option", "fairlearn"):
        assert after < 0.06
    if name == "equalized_odds" and measure == "aod":
        assert after < 1e-9 < before


def test_a_flipped_coding_flips_the_reject_option(random_rows: Rows) -> None:
    """Scores of the unfavorable label read as of the favorable one inverted decisions in the public code."""
    s, y, a = random_rows
    one = RejectOption().fit(s, y, a, Objective()).predict_proba(s, a)
    two = RejectOption().fit(1 - s, 1 - y, a, Objective()).predict_proba(1 - s, a)
    assert (one == 1 - two).double().mean() > 0.97
    assert float(performance("balanced_accuracy", counts(one, y, a))) > 0.6


def test_equalized_odds_needs_both_labels_in_both_groups() -> None:
    with pytest.raises(InputError, match="both labels"):
        EqualizedOdds().fit(
            torch.rand(4), torch.tensor([1, 1, 0, 1]), torch.tensor([0, 0, 1, 1]), Objective()
        )


def best_of_all_tuples(
    s: np.ndarray, y: np.ndarray, a: np.ndarray, objective: Objective
) -> tuple[float, float]:
    """Return the best performance within the bound over all tuples of thresholds, and the least miss."""
    import itertools

    choices = [np.append(np.unique(s[a == g]), -np.inf) for g in range(a.max() + 1)]
    phis, misses = [], []
    people = Groups.of({"a": a}, small=0)
    for limits in itertools.product(*choices):
        decided = torch.as_tensor(s > np.array(limits)[a])
        values = objective.evaluate(counts(decided, torch.as_tensor(y), people))
        phis.append(float(values[0]))
        misses.append(float(values[3]))
    return max(phis), min(misses)


@pytest.mark.parametrize("text", ["gap(selection)", "gap(tpr)", "gap(fpr)"])
def test_check_10_group_thresholds_equal_brute_force(text: str) -> None:
    stream = np.random.default_rng(len(text))
    for case in range(12):
        n = 16
        a = np.concatenate([np.arange(3), np.arange(3), stream.integers(0, 3, n - 6)])
        y = np.concatenate([np.zeros(3, int), np.ones(3, int), stream.integers(0, 2, n - 6)])
        s = stream.integers(0, 6, n) / 6 if case % 2 else stream.random(n)
        goal = "accuracy" if case % 3 == 0 else "balanced_accuracy"
        objective = Objective(constraints=[f"{text} <= 0.26"], margin=0.01, performance=goal)
        groups, label = Groups.of({"a": a}, small=0), torch.as_tensor(y)
        post = GroupThresholds().fit(torch.as_tensor(s), label, groups, objective)
        phi, missed = best_of_all_tuples(s, y, a, objective)
        ours = objective.evaluate(counts(post.predict_proba(torch.as_tensor(s), groups), label, groups))
        assert float(ours[0]) == pytest.approx(phi, abs=1e-12)
        assert post.met or float(ours[3]) == pytest.approx(missed, abs=1e-9)


def test_other_criteria_are_searched_by_coordinates_and_better_than_one_threshold(random_rows: Rows) -> None:
    s, y, a = random_rows
    for options in ({"measure": "eqodds", "epsilon": 0.1}, {"constraints": ["ratio(selection) >= 0.9"]}):
        objective = Objective(**options)
        post = GroupThresholds().fit(s, y, a, objective)
        ours = objective.evaluate(counts(post.predict_proba(s, a), y, a))
        assert post.met and float(ours[0]) >= float(best_threshold(s[None], y, a, objective).phi) - 1e-12
    with pytest.raises(InputError, match="no base network"):
        GroupThresholds().fit(s, y, a, Objective(constraints=["loss(tpr) <= 0.1"]))
