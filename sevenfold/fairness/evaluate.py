"""Figures of decisions on unseen rows, with intervals for their sampling error."""

from typing import Any

import torch
from torch import Tensor

from sevenfold.config import build
from sevenfold.fairness import METHODS, POSTPROCESSORS
from sevenfold.fairness.data.table import SMALL_CELL, Part
from sevenfold.fairness.intra.base import Method, Problem
from sevenfold.fairness.measures import MEASURES, bias, count, performance, standard_error

Z95 = 1.96


def decide(node: dict[str, Any], problem: Problem, test: Part) -> tuple[dict[str, float], Tensor, Tensor]:
    """Run the method that ``node`` names on a problem.

    Returns its figures, and the probability of decision 1 for the validation and for the test rows.
    """
    method = build(METHODS | POSTPROCESSORS, node, "method")
    if isinstance(method, Method):
        result = method.fit(problem)
        val = (problem.scores(result.state).double() > result.threshold).double()
        # the threshold is in float64: a float32 comparison could decide rows at the threshold differently
        unseen = (problem.scores(result.state, test.x).double() > result.threshold).double()
        facts = {"seconds": result.seconds, "constant": float(result.constant)}
        return facts, val, unseen
    val_scores, unseen = problem.scores().sigmoid(), problem.scores(x=test.x).sigmoid()
    method.fit(val_scores, problem.y, problem.a, problem.objective)
    return {}, method.predict_proba(val_scores, problem.a), method.predict_proba(unseen, test.a)


def figures(decisions: Tensor, part: Part, measure: str, epsilon: float) -> dict[str, float]:
    """Return balanced accuracy, accuracy, every measure, and whether ``measure`` is within ``epsilon``."""
    positives, totals = count(decisions, part.y, part.a)
    values = {name: float(performance(name, positives, totals)) for name in ("balanced_accuracy", "accuracy")}
    values |= {name: float(bias(name, positives, totals)) for name in MEASURES}
    values["mu"] = values[measure]
    values["abs_mu"] = abs(values["mu"])
    values["standard_error"] = float(standard_error(measure, positives, totals))
    values["within"] = float(values["abs_mu"] < epsilon)
    if part.truth is not None:
        fair = Part(part.x, part.truth, part.a)
        values["fair_label_balanced_accuracy"] = float(
            performance("balanced_accuracy", *count(decisions, fair.y, fair.a))
        )
    return values


def bootstrap_interval(
    decisions: Tensor, part: Part, measure: str, *, generator: torch.Generator, draws: int = 500
) -> tuple[float, float]:
    """Return the 95 % interval of a measure over resamples that keep the size of every cell (a, y)."""
    cell = 2 * part.a + part.y
    shares = torch.zeros(draws, 4, dtype=torch.float64, device=cell.device)
    totals = torch.bincount(cell, minlength=4).double()
    for k in range(4):
        members = decisions[cell == k].double()
        if len(members):
            picks = torch.randint(len(members), (draws, len(members)), generator=generator)
            shares[:, k] = members[picks].sum(1)
    # Percentile interval (Efron 1979): resamples are stratified, so that no cell is empty by chance.
    values = bias(measure, shares.view(draws, 2, 2), totals.view(2, 2))
    low, high = values.quantile(values.new_tensor([0.025, 0.975]))
    return float(low), float(high)


def by_group(
    decisions: Tensor, part: Part, groups: dict[str, Tensor], scores: Tensor | None = None
) -> list[dict[str, Any]]:
    """Return the figures of each group of people.

    A row holds n, base rate, selection rate with its 95 % Wilson interval, TPR, FPR, PPV, and the calibration
    error of scores (mean score minus base rate). ``groups`` maps names to masks; a group with fewer than 30
    rows is flagged ``small``.
    """
    rows = []
    for name, mask in groups.items():
        d, y, n = decisions[mask].double(), part.y[mask].double(), int(mask.sum())
        rate = float(d.mean()) if n else float("nan")
        low, high = wilson(rate, n)
        row: dict[str, Any] = {"group": name, "n": n, "base_rate": float(y.mean()), "selection_rate": rate}
        row |= {"selection_low": low, "selection_high": high, "small": n < SMALL_CELL}
        row |= {"tpr": float(d[y == 1].mean()), "fpr": float(d[y == 0].mean())}
        row["ppv"] = float((d * y).sum() / d.sum())
        if scores is not None:
            row["calibration_error"] = float(scores[mask].double().mean() - y.mean())
        rows.append(row)
    return rows


def wilson(rate: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a proportion."""
    if n == 0:
        return float("nan"), float("nan")
    # (p + z^2/2n) / (1 + z^2/n)  +-  z / (1 + z^2/n) sqrt(p(1-p)/n + z^2/4n^2)   (Wilson 1927)
    center = (rate + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * (rate * (1 - rate) / n + Z95**2 / (4 * n**2)) ** 0.5
    return max(0.0, center - half), min(1.0, center + half)


def intersections(attributes: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the mask of every group of every attribute and of all intersections of the first two."""
    masks = {f"{name} = {value}": a == value for name, a in attributes.items() for value in (0, 1)}
    names = list(attributes)[:2]
    if len(names) == 2:
        first, second = names
        for i in (0, 1):
            for j in (0, 1):
                label = f"{first} = {i}, {second} = {j}"
                masks[label] = (attributes[first] == i) & (attributes[second] == j)
    return masks
