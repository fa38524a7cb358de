"""Logged curves of trainings as small multiples."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

Curves = dict[str, tuple[list[float], list[float]]]  # metric: steps, values
MULTIPLES, POINTS, ACROSS = 12, 300, 4
NO_CURVES = ("step", "epoch", "pieces", "running/")  # of a study the pictures say more


def read_curves(folder: Path) -> Curves:
    """Return the metrics of a run's ``metrics.csv`` that have several points; empty where there is none."""
    curves: Curves = {}
    if (folder / "metrics.csv").is_file():
        with open(folder / "metrics.csv", newline="") as file:
            for row in csv.DictReader(file):
                for name, text in row.items():
                    if text and not name.startswith(NO_CURVES):
                        steps, values = curves.setdefault(name, ([], []))
                        steps.append(float(row["step"] or 0))
                        values.append(float(text))
    return {name: curve for name, curve in curves.items() if len(curve[0]) > 1}


def draw_curves(runs: Mapping[str, Curves]) -> str:
    """Return one SVG with a small plot for each metric, all runs in each; empty where nothing was logged.

    Losses and validation come first, at most :data:`MULTIPLES` metrics are drawn, and a curve has at most
    about :data:`POINTS` points.
    """
    from matplotlib.figure import Figure

    names = sorted(dict.fromkeys(name for curves in runs.values() for name in curves), key=_rank)[:MULTIPLES]
    if not names:
        return ""
    across = min(ACROSS, len(names))
    down = -(-len(names) // across)
    figure = Figure(figsize=(2.7 * across, 1.9 * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).flat
    for place, name in enumerate(names):
        axes = grid[place]
        for label, curves in runs.items():
            steps, values = curves.get(name, ([], []))
            every = max(1, len(steps) // POINTS)
            axes.plot(_thin(steps, every), _thin(values, every), label=label, linewidth=1)
        axes.set_title(name, fontsize=8)
        axes.tick_params(labelsize=6)
        axes.grid(alpha=0.3)
    for axes in list(grid)[len(names) :]:
        axes.axis("off")
    if len(runs) > 1:
        figure.legend(*figure.axes[0].get_legend_handles_labels(), fontsize=7, loc="outside lower center")
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def _thin(values: Sequence[float], every: int) -> Sequence[float]:
    # The last point stays, for it is the figure that the table shows.
    return values if every == 1 else [*values[::every], values[-1]]


def _rank(name: str) -> tuple[int, str]:
    """Order metrics: training loss, validation, test, the rest of training, other numbers."""
    if name.endswith("train/loss"):
        return 0, name
    return next(
        (i for i, part in enumerate(("val/", "test/", "train/"), 1) if name.startswith(part)), 9
    ), name
