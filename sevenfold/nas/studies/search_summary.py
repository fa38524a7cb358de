"""Tables over trials of search algorithms: quality along the search, cost, published values."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from sevenfold.evidence import bootstrap, compare_all
from sevenfold.evidence import verdict as sentence
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
    """Return the rows to read first, best algorithm first: the worst ones make room for random search.

    Beside the searched loss stand the 95 % interval of its mean, the mean rank over trials that all full
    algorithms have, and the p-value of the difference to the best after Holm.
    """
    field, order = _searched(numbers), ranked(groups, numbers)
    losses = final_losses(groups, field)
    if not losses:
        return everything(groups, numbers)
    pairs, places = compare_all(losses), _mean_ranks(losses)
    best = min(losses, key=lambda label: float(losses[label].mean()))
    others = [name for name in ("test_loss", "test_regret") if _any(numbers, name)]
    rows = [["algorithm", "trials", f"{title(field, groups)} (95 %)", "mean rank", "p to the best",
             *(title(name, groups) for name in others), "queries to optimum"]]  # fmt: skip
    for label in [label for label in order if label in losses]:
        values = losses[label]
        low = 0.0 if field == "val_regret" else -math.inf
        p = pairs[best, label][1] if label != best else None
        median = format_value(numbers.get(f"{label}/queries_to_optimum/median"))
        rows.append([
            label, str(len(values)), _within(values, bootstrap(values, low)), format_value(places.get(label)),
            "-" if p is None else f"{p:.1g}",
            *(_with_error(numbers, f"{label}/{name}") for name in others), median,
        ])  # fmt: skip
    if len(rows) <= ROWS + 1:
        return rows
    baseline = [row for row in rows[ROWS:] if groups[row[0]][0]["algorithm"] == "random"][:1]
    return [*rows[: ROWS + 1 - len(baseline)], *baseline]


def final_losses(groups: Groups, field: str) -> dict[str, NDArray[np.float64]]:
    """Return the final values (trials,) of each algorithm, in the order of trials, where all are finite."""
    rows = {label: sorted(records, key=lambda record: record["trial"]) for label, records in groups.items()}
    ends = {
        label: np.array([r.get(field, math.nan) for r in records], float) for label, records in rows.items()
    }
    return {label: values for label, values in ends.items() if np.isfinite(values).all()}


def verdict(groups: Groups, numbers: Mapping[str, float], budget: int, reference: str | None) -> list[str]:
    """Return what the trials show: the best algorithm against the next, random search and the reference.

    Differences are those of Wilcoxon's test after Holm over all pairs (:mod:`sevenfold.evidence`).
    """
    field = _searched(numbers)
    losses = final_losses(groups, field)
    if not losses:
        return ["No trial has ended yet."]
    order = sorted(losses, key=lambda label: float(losses[label].mean()))
    best, pairs = order[0], compare_all(losses)
    text = (
        f"After {budget} evaluations {best} has the lowest mean {title(field, groups)}, "
        f"{losses[best].mean():.3g}."
    )
    random = next((label for label in order if groups[label][0]["algorithm"] == "random"), best)
    against = dict.fromkeys([*order[1:2], random, *([reference] if reference in losses else [])])
    sentences = [
        sentence(best, other, pairs[best, other][0], p=pairs[best, other][1], comparisons=len(pairs)) + "."
        for other in against
        if other is not None and other != best
    ]
    return [text, *sentences]


def _searched(numbers: Mapping[str, float]) -> str:
    return "val_regret" if _any(numbers, "val_regret") else "val_loss"


def _any(numbers: Mapping[str, float], field: str) -> bool:
    return any(name.endswith(f"/{field}/mean") for name in numbers)


def title(field: str, groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return what a field of the records is called, such as ``validation loss``.

    Records that minimize something else say so in ``label``, with braces where "loss" or "regret" stands.
    """
    split, _, kind = field.partition("_")
    label = next((rows[0].get("label") for rows in groups.values()), None) if split == "val" else None
    return label.replace("{}", kind) if label else field.replace("val_", "validation ").replace("_", " ")


def _within(values: NDArray[np.float64], interval: tuple[float, float] | None) -> str:
    """Return a mean with its interval, or without where there is none."""
    ends = "" if interval is None else f" ({interval[0]:.3g} to {interval[1]:.3g})"
    return f"{values.mean():.3g}{ends}"


def _mean_ranks(losses: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Return the mean rank in a trial of each algorithm that has all trials; 1 is best."""
    most = max(len(values) for values in losses.values())
    full = {label: values for label, values in losses.items() if len(values) == most}
    if len(full) < 2:
        return {}
    places = rankdata(np.stack(list(full.values()), 1), axis=1).mean(0)
    return dict(zip(full, places.tolist(), strict=True))


def everything(groups: Groups, numbers: Mapping[str, float]) -> Table:
    """Return one row an algorithm, the best first: trials, means with standard errors, searcher's seconds."""
    # Of fields with one title the first: of several losses loss and regret are the same number.
    named = {title(field, groups): field for field in reversed(SHOWN) if _any(numbers, field)}
    used = list(reversed(named.values()))
    rows = [["algorithm", "trials", *(title(f, groups) for f in used), "queries to optimum", "seconds"]]
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
