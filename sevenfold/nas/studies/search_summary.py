"""Tables over trials of search algorithms: quality along the search, cost, published values."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.nas.algorithms.published import compare
from sevenfold.records import Record
from sevenfold.report import format_value
from sevenfold.study import Table

Groups = Mapping[str, Sequence[Record]]
Scalars = dict[str, float]

QUALITY = ("val_loss", "val_regret", "test_loss", "test_regret", "at_optimum")
POINTS = (50, 100, 150, 300)
ACCOUNT = ("spent", "duplicates", "missing", "simulated_seconds")
SHOWN = ("val_regret", "val_loss", "test_loss", "test_regret")
ROWS = 12  # of the headline table


def by_group(records: Sequence[Record], order: Iterable[str]) -> dict[str, list[Record]]:
    """Return records by group, those of ``order`` first and in that order."""
    groups: dict[str, list[Record]] = {label: [] for label in order}
    for record in records:
        groups.setdefault(record["group"], []).append(record)
    return {label: rows for label, rows in groups.items() if rows}


def scalars(groups: Groups) -> Scalars:
    """Return numbers by label of the algorithm: mean, standard error, standard deviation, median and
    interquartile range of losses and regrets; the share of trials at the optimum; mean regret and that share
    after 50, 100, 150 and 300 queries; means of the account (queries, repeats, missing answers, seconds);
    the median of ``queries_to_optimum`` (infinite where half of the trials do not reach it); trials.
    """
    numbers: Scalars = {}
    for label, records in groups.items():
        for field in QUALITY + ACCOUNT:
            values = np.array([record[field] for record in records if field in record], float)
            if len(values):
                numbers |= _spread(f"{label}/{field}", values)
        if "at_optimum" in records[0]:
            reached = [record.get("queries_to_optimum", math.inf) for record in records]
            numbers[f"{label}/queries_to_optimum/median"] = float(np.median(reached))
            numbers |= _after(label, records)
        numbers[f"{label}/trials"] = len(records)
    return numbers


def _spread(name: str, values: NDArray[np.float64]) -> Scalars:
    """Return a field's mean; of losses and such the standard error (0 for one value) and more beside."""
    numbers, field = {"mean": values.mean()}, name.rpartition("/")[2]
    if field in QUALITY:
        std = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        numbers["sem"] = std / math.sqrt(len(values))
        if field != "at_optimum":
            low, median, high = np.percentile(values, [25, 50, 75])
            numbers |= {"std": std, "median": median, "iqr": high - low}
    return {f"{name}/{part}": float(value) for part, value in numbers.items()}


def _after(label: str, records: Sequence[Record]) -> Scalars:
    """Return mean regret and share at the optimum after the numbers of queries that papers report."""
    numbers: Scalars = {}
    for point in POINTS:
        if point in records[0]["queries"]:
            place = records[0]["queries"].index(point)
            optimum = records[0]["val_loss"] - records[0]["val_regret"]
            regrets = np.array([record["val_curve"][place] for record in records]) - optimum
            numbers[f"{label}/val_regret_at_{point}/mean"] = float(regrets.mean())
            reached = [record.get("queries_to_optimum", math.inf) <= point for record in records]
            numbers[f"{label}/at_optimum_at_{point}/mean"] = float(np.mean(reached))
    return numbers


def ranked(groups: Groups, numbers: Mapping[str, float]) -> list[str]:
    """Return the labels, the lowest mean validation loss first."""
    return sorted(groups, key=lambda label: numbers.get(f"{label}/val_loss/mean", math.inf))


def headline(groups: Groups, numbers: Mapping[str, float]) -> Table:
    """Return the rows to read first, best algorithm first: the worst ones make room for random search."""
    rows = everything(groups, numbers)
    cut = [row[:1] + [cell for name, cell in zip(rows[0][1:], row[1:], strict=True) if name != "seconds"]
           for row in rows]  # fmt: skip
    if len(cut) <= ROWS + 1:
        return cut
    baseline = [row for row in cut[ROWS:] if groups[row[0]][0]["algorithm"] == "random"][:1]
    return [*cut[: ROWS + 1 - len(baseline)], *baseline]


def verdict(groups: Groups, numbers: Mapping[str, float], budget: int) -> list[str]:
    """Return two sentences: which algorithm is best, beside random search, and which are as good.

    Two means count as different beyond two standard errors of the difference.
    """
    field = "val_regret" if any(f"{label}/val_regret/mean" in numbers for label in groups) else "val_loss"
    order = [label for label in ranked(groups, numbers) if f"{label}/{field}/mean" in numbers]
    if not order:
        return ["No trial has ended yet."]
    what = field.replace("val_", "validation ")
    best = order[0]
    score = _quoted(groups, numbers, best, field)
    text = f"After {budget} evaluations {best} has the lowest mean {what}, {score}"
    baseline = next((label for label in order if groups[label][0]["algorithm"] == "random"), best)
    if baseline != best:
        text += f"; random search has {_quoted(groups, numbers, baseline, field)}"
    level = [label for label in order[1:] if not _apart(numbers, best, label, field)]
    if not level:
        return [text + ".", "Every other algorithm is worse by more than two standard errors."][: len(order)]
    return [text + ".", f"Within two standard errors of it: {', '.join(level)}."]


def _quoted(groups: Groups, numbers: Mapping[str, float], label: str, field: str) -> str:
    mean, error = numbers[f"{label}/{field}/mean"], numbers[f"{label}/{field}/sem"]
    return f"{mean:.3g} (standard error {error:.2g}, {len(groups[label])} trials)"


def _apart(numbers: Mapping[str, float], one: str, other: str, field: str) -> bool:
    gap = numbers[f"{other}/{field}/mean"] - numbers[f"{one}/{field}/mean"]
    return gap > 2 * math.hypot(numbers[f"{one}/{field}/sem"], numbers[f"{other}/{field}/sem"])


def everything(groups: Groups, numbers: Mapping[str, float]) -> Table:
    """Return one row an algorithm, the best first: trials, means with standard errors, searcher's seconds."""
    used = [field for field in SHOWN if any(f"{label}/{field}/mean" in numbers for label in groups)]
    rows = [["algorithm", "trials", *(f.replace("_", " ") for f in used), "queries to optimum", "seconds"]]
    for label in ranked(groups, numbers):
        records = groups[label]
        cells = [_with_error(numbers, f"{label}/{field}") for field in used]
        median = format_value(numbers.get(f"{label}/queries_to_optimum/median"))
        rows.append([label, str(len(records)), *cells, median, _seconds(records)])
    return rows


def _with_error(numbers: Mapping[str, float], name: str) -> str:
    mean, error = format_value(numbers.get(f"{name}/mean")), numbers.get(f"{name}/sem")
    return mean if error is None else f"{mean} ({error:.2g})"


def comparison(groups: Groups, numbers: Mapping[str, float]) -> Table:
    """Return one row an algorithm: what was run, 95 % intervals, the published test error, a verdict."""
    facts = ["space", "dataset", "algorithm", "preset", "budget"]
    rows = [["label", *facts, "trials", "val loss", "test loss", "published", "mark", "verdict"]]
    for label, records in groups.items():
        first = records[0]
        variant = "" if first["preset"] in (None, "paper") else f" {first['preset']}"  # nothing is published
        value, verdict = compare(
            first["space"], first["dataset"], first["algorithm"] + variant, first["budget"],
            numbers.get(f"{label}/test_loss/mean"), single=first["trainings"] == 1,
        )  # fmt: skip
        known = ["-", "-"] if value is None else [f"{value.error:.2f}", value.mark]
        losses = [_interval(numbers, f"{label}/{split}_loss") for split in ("val", "test")]
        cells = [format_value(first[fact]) for fact in facts]
        rows.append([label, *cells, str(len(records)), *losses, *known, verdict])
    return rows


def _interval(numbers: Mapping[str, float], name: str) -> str:
    if f"{name}/mean" not in numbers:
        return "-"
    return f"{numbers[f'{name}/mean']:.3f} +- {1.96 * numbers[f'{name}/sem']:.3f}"


def _seconds(records: Sequence[Mapping[str, Any]]) -> str:
    times = [record["searcher_seconds"] for record in records if "searcher_seconds" in record]
    return f"{np.mean(times):.3g}" if times else "-"
