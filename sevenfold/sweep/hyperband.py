"""Stopping trials early by Hyperband's rule, as W&B's ``early_terminate`` does."""

import csv
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sevenfold.errors import ConfigError, shown, suggest

History = Sequence[float]


@dataclasses.dataclass(frozen=True)
class Hyperband:
    """Trials are compared at brackets: numbers of logged values of the metric.

    A running trial that has passed a bracket is stopped if its best value is worse than the threshold
    there: the value that the best 1/``eta`` of all trials seen at this bracket had (Li et al. 2018, section
    3; the rule is that of W&B's package sweeps 0.2.0). The metric must be logged while a trial runs, such as
    ``val/epe``: names that appear at the end only stop nothing.

    Args:
        brackets: the numbers of values, ascending.
        eta: one trial in ``eta`` survives a bracket.
    """

    brackets: tuple[int, ...]
    eta: float

    def thresholds(self, histories: Sequence[History]) -> dict[int, float]:
        """Return ``{bracket: worst value that survives}`` of losses (lower is better)."""
        worst = {}
        for bracket in self.brackets:
            seen = sorted(history[bracket] for history in histories if len(history) > bracket)
            if seen:
                worst[bracket] = seen[int(len(seen) / self.eta)]
        return worst

    def stops(self, history: History, thresholds: Mapping[int, float]) -> bool:
        """Tell whether a running trial is to stop."""
        passed = [bracket for bracket in thresholds if len(history) > bracket]
        return bool(passed) and min(history) > thresholds[max(passed)]


def read_hyperband(node: Any) -> Hyperband:
    """Check ``early_terminate``: ``min_iter``, or ``max_iter`` and ``s``; ``eta`` is 3 unless given."""
    known = {"type", "min_iter", "max_iter", "s", "eta"}
    if not isinstance(node, Mapping):
        raise ConfigError("early_terminate", f"expected a mapping with a type, got {shown(node)}")
    if unknown := sorted(map(str, set(node) - known)):
        message = f"is not supported in a local sweep. {suggest(unknown[0], known)}"
        raise ConfigError(f"early_terminate.{unknown[0]}", message)
    if node.get("type") != "hyperband":
        raise ConfigError("early_terminate.type", f"expected hyperband, got {shown(node.get('type'))}")
    for name in ("min_iter", "max_iter", "s"):
        value = node.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 10**9:
            message = f"expected a positive whole number, got {shown(value)}"
            raise ConfigError(f"early_terminate.{name}", message)
    eta = node.get("eta", 3)
    if isinstance(eta, bool) or not isinstance(eta, int | float) or not 1 < eta < 10**9:
        raise ConfigError("early_terminate.eta", f"expected a number above 1, got {shown(eta)}")
    return Hyperband(_brackets(node, eta), eta)


def _brackets(node: Mapping[str, Any], eta: float) -> tuple[int, ...]:
    if "max_iter" in node:
        if "s" not in node:
            raise ConfigError("early_terminate.s", "is required with max_iter: the number of brackets")
        numbers = [node["max_iter"] / eta**k for k in range(1, min(node["s"], 100) + 1)]
        brackets = sorted({int(number) for number in numbers if number >= 1})
        if not brackets:
            raise ConfigError("early_terminate.max_iter", "leaves no bracket: raise it, or lower eta")
        return tuple(brackets)
    if "min_iter" not in node:
        raise ConfigError("early_terminate.min_iter", "is required, or max_iter and s")
    numbers = [node["min_iter"] * eta**k for k in range(100) if k * math.log(eta) < 30]
    return tuple(sorted({int(number) for number in numbers}))


def read_history(folder: Path, metric: str, maximize: bool) -> list[float]:
    """Return the values of a metric in the newest ``metrics.csv`` below a trial's folder, as losses."""
    files = sorted(folder.glob("version_*/metrics.csv"), key=lambda path: path.stat().st_mtime)
    if not files:
        return []
    with open(files[-1], newline="") as file:
        texts = [row.get(metric) for row in csv.DictReader(file)]
    values = []
    for text in texts:
        try:
            value = float(text or "nan")
        except ValueError:  # a line that is being written
            continue
        if math.isfinite(value):
            values.append(-value if maximize else value)
    return values
