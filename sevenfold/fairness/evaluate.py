"""Figures of decisions on unseen rows, with intervals for their sampling error."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sevenfold.config import build
from sevenfold.fairness import METHODS, POSTPROCESSORS
from sevenfold.fairness.confusion import counts
from sevenfold.fairness.data.table import SMALL_CELL, Part
from sevenfold.fairness.groups import Groups
from sevenfold.fairness.inference import ALPHA, interval, rows_needed, verdict, wilson
from sevenfold.fairness.intra.base import DebiasingResult, Method, Problem
from sevenfold.fairness.measures import MEASURES, bias, performance
from sevenfold.fairness.objective import Objective

OWN = ("rho", "mu")
"""A method's own figures on the validation rows, cross-fitted where it cross-fits."""


class Decided(NamedTuple):
    """What a method decides: its figures, and the probability of decision 1 of validation and test rows.

    ``result`` is that of a method that changes the network.
    """

    facts: dict[str, float]
    val: Tensor
    test: Tensor
    result: DebiasingResult | None = None


def decide(node: dict[str, Any], problem: Problem, test: Part) -> Decided:
    """Run the method that ``node`` names on a problem."""
    method = build(METHODS | POSTPROCESSORS, node, "method")
    if isinstance(method, Method):
        result = method.fit(problem)
        val = (problem.scores_of(result).double() > result.threshold).double()
        # the threshold is in float64: a float32 comparison could decide rows at the threshold differently
        unseen = (problem.scores_of(result, test.x).double() > result.threshold).double()
        facts = {"seconds": result.seconds, "constant": float(result.constant)}
        # a choice among methods must not trust figures that the search itself has flattered
        own = {name: result.cross_fitted.get(name, getattr(result, name)) for name in OWN}
        objective = problem.objective
        met = abs(own["mu"]) < objective.epsilon if objective.single else result.met
        return Decided({**facts, **searched(own, met)}, val, unseen, result)
    val_scores, unseen = problem.scores().sigmoid(), problem.scores(x=test.x).sigmoid()
    people = problem.a if problem.plain else problem.groups
    method.fit(val_scores, problem.y, people, problem.objective)
    val = method.predict_proba(val_scores, people)
    others = test.a if problem.plain else Groups(test.a, problem.layout)
    decided = problem.counts(val)
    base = problem.base if problem.objective.compares else None
    _, rho, mu, _ = problem.objective.evaluate(decided, base=base)
    facts = searched({"rho": float(rho), "mu": float(mu)}, problem.objective.met(decided, base))
    return Decided(facts, val, method.predict_proba(unseen, others))


def searched(own: dict[str, float], met: bool) -> dict[str, float]:
    """Return a method's own figures on the validation rows as fields of a record."""
    return {**{f"search_{name}": float(value) for name, value in own.items()}, "search_met": float(met)}


def figures(decisions: Tensor, part: Part, people: Groups, objective: Objective) -> dict[str, float]:
    """Return performance, every measure of two groups, and what these rows say about the objective's bound.

    Of several bounds it is the first that is no loss. ``mu`` is signed where the measure is.

    ``mu_low`` and ``mu_high`` are the ends of its 95 % interval, ``verdict`` a position in
    :data:`~sevenfold.fairness.inference.VERDICTS` with the interval that it rests on, and ``rows_needed``
    what it would take to find a rule without bias within the bound.
    """
    table = counts(decisions, part.y, people)
    term = objective.judged
    measure = objective.expression if objective.single else term.expression
    values = {name: float(performance(name, table)) for name in ("balanced_accuracy", "accuracy")}
    if len(people.families) == 1 and len(people.families[0]) == 2:
        values |= {name: float(bias(name, table)) for name in MEASURES}
    values["mu"] = float(measure.value(table))
    values["abs_mu"] = abs(values["mu"])
    values["within"] = float(term.holds(term.excess(torch.tensor(values["abs_mu"], dtype=torch.float64))))
    values["mu_low"], values["mu_high"] = map(float, interval(measure, table))
    # The verdict's own interval stands beside it, so that nobody can see them disagree.
    values["verdict_low"], values["verdict_high"] = map(float, interval(measure, table, level=1 - 2 * ALPHA))
    values["verdict"] = int(verdict(measure, table, term.bound, sense=term.sense))
    bounded = term.sense.startswith("<")
    needed = rows_needed(measure, table, term.bound) if bounded else float("nan")
    values["rows"], values["rows_needed"] = len(part.y), needed
    if part.truth is not None:
        fair = counts(decisions, part.truth, people)
        values["fair_label_balanced_accuracy"] = float(performance("balanced_accuracy", fair))
    return values


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
        low, high = map(float, wilson(d.sum(), torch.tensor(float(n))))
        row: dict[str, Any] = {"group": name, "n": n, "base_rate": float(y.mean()), "selection_rate": rate}
        row |= {"selection_low": low, "selection_high": high, "small": n < SMALL_CELL}
        row |= {"tpr": float(d[y == 1].mean()), "fpr": float(d[y == 0].mean())}
        row["ppv"] = float((d * y).sum() / d.sum())
        if scores is not None:
            row["calibration_error"] = float(scores[mask].double().mean() - y.mean())
        rows.append(row)
    return rows


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
