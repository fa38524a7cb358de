"""Pictures of a saved network at work: intervals against the bound, and scores beside those of the fit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.fairness.drift import SHARES

MARKS = {"met": ("o", "black"), "cannot tell": ("o", "white"), "violated": ("X", "black")}


def draw_verdicts(verdicts: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw the 90 % interval of every criterion: filled is met, hollow cannot tell, a cross violated."""
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(8, 1.4 + 0.5 * len(verdicts)), layout="constrained")
    axes = figure.subplots()
    for i, v in enumerate(verdicts):
        mark, fill = MARKS[v["verdict"]]
        axes.plot([v["low"], v["high"]], [i, i], color="black", linewidth=1.5)
        axes.plot(v["estimate"], i, mark, markersize=9, markerfacecolor=fill, markeredgecolor="black")
        axes.plot([v["bound"]] * 2, [i - 0.35, i + 0.35], color="tab:blue", linewidth=3)
    labels = [f"{v['criterion']}\n{v['verdict']}" for v in verdicts]
    axes.set(yticks=range(len(verdicts)), yticklabels=labels, ylim=(-0.7, len(verdicts) - 0.3),
             xlabel="90 % interval, the one that the verdict uses; the bar is the bound")  # fmt: skip
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=100)
    return path


def draw_drift(stored: Sequence[float], now: Sequence[float], path: Path) -> Path:
    """Draw the distribution functions of scores at the fit and now, from quantiles."""
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    for values, style, label in ((stored, "-", "rows of the fit"), (now, "--", "these people")):
        axes.plot(np.asarray(values), SHARES, style, color="black", label=label)
    # a decision is 1 to the right of 0
    axes.axvline(0, color="tab:blue", linewidth=1)
    axes.set(xlabel="distance to the threshold (decided 1 above 0)", ylabel="share of people below")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)
    return path
