"""The first table and sentences of a flow run's report."""

import re
from collections.abc import Mapping
from typing import Any

from sevenfold.report import Table, format_value
from sevenfold.report.run import plain_headline


def flow_headline(metrics: Mapping[str, Any], reference: Mapping[str, Any]) -> tuple[Table, list[str]]:
    """Return the end-point error by data set and number of solver steps, zero flow beside it, and a verdict.

    Args:
        metrics: numbers such as ``test/kitti/epe``, ``test/kitti/epe_at_24`` and ``test/kitti/evaluations``.
        reference: ``test/kitti/zero_flow_epe``, the error of the estimate that nothing moves.
    """
    stage = "test" if any(name.startswith("test/") for name in metrics) else "val"
    rows, text = [["data", "steps", "EPE, px", "zero flow", "ratio"]], []
    datasets = dict.fromkeys(m[1] for name in metrics if (m := re.fullmatch(rf"{stage}/([^/]+)/epe", name)))
    for dataset in datasets:
        key = f"{stage}/{dataset}"
        zero, own = reference.get(f"{key}/zero_flow_epe"), metrics.get(f"{key}/evaluations")
        errors = {own: metrics[f"{key}/epe"]}
        for name, value in metrics.items():
            if budget := re.fullmatch(rf"{re.escape(key)}/epe_at_(\d+)", name):
                errors[float(budget[1])] = value
        for steps, error in sorted(errors.items(), key=lambda item: item[0] or 0):
            ratio = error / zero if isinstance(error, int | float) and zero else None
            count = "-" if steps is None else f"{steps:g}"
            rows.append([dataset, count, format_value(error), format_value(zero), format_value(ratio)])
        text += _verdict(dataset, metrics[f"{key}/epe"], own, zero)
    if len(rows) == 1:
        return plain_headline(metrics, reference), []
    return rows, [*text[:2], *_showcase(metrics)]


def _showcase(metrics: Mapping[str, Any]) -> list[str]:
    own, shipped, zero = (metrics.get(f"showcase/{name}") for name in ("epe", "shipped_epe", "zero_flow_epe"))
    if own is None:
        return []
    return [
        f"On the clip of the first picture this network has {format_value(own)} px, the shipped model "
        f"{format_value(shipped)} px, the estimate that nothing moves {format_value(zero)} px."
    ]


def _verdict(dataset: str, error: object, steps: float | None, zero: float | None) -> list[str]:
    # What is not finite is a text in results.json.
    if not isinstance(error, int | float):
        return [f"On {dataset} the end-point error is not finite."]
    after = f" after {steps:.3g} evaluations of the update" if steps else ""
    sentence = f"On {dataset} the end-point error is {error:.3g} px{after}"
    if zero is None:
        return [sentence + "."]
    less = 1 - error / zero if zero else 0.0
    change = f"{less:.0%} less" if less >= 0 else f"{-less:.0%} more"
    return [f"{sentence}; the estimate that nothing moves has {zero:.3g} px, so this is {change}."]
