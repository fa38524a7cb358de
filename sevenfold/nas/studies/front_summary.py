"""What searches of several losses have reached: hypervolume regrets, shares of the true front, attainment."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.nas.pareto import attainment, front, hypervolume
from sevenfold.nas.studies.search_figures import COLORS, DASHES, draw_all
from sevenfold.nas.studies.search_summary import by_group, everything, headline, scalars, verdict
from sevenfold.records import Record
from sevenfold.report import Report, Section, format_value

Floats = NDArray[np.float64]
Groups = Mapping[str, Sequence[Record]]

FIRST = 10
"""Evaluations for each loss, of every search, whose 90th percentiles are the reference by default."""
LEVELS = (0.25, 0.5, 0.75)

VOLUMES = (
    "Hypervolume regret is 1 - V / V*: V, the volume that a search dominates below the reference "
    "{reference}; V*, that of {best}. Means over trials, the standard error in brackets; seconds are those "
    "of the algorithm itself."
)
TRUE, UNION = "the table's front", "the front of all searches together"


def reference_of(records: Sequence[Record]) -> Floats:
    """Return the corner of hypervolumes that records imply: what the table says, or 90th percentiles."""
    if "reference" in records[0]:
        return np.array(records[0]["reference"])
    count = FIRST * len(records[0]["losses"])
    return percentiles(np.concatenate([feasible(record)[:count] for record in records]))


def percentiles(points: Floats) -> Floats:
    """Return the 90th percentile of each loss, (m,), of points without NaN."""
    return np.asarray(np.percentile(points[~np.isnan(points).any(1)], 90, axis=0), float)


def feasible(record: Record) -> Floats:
    """Return the losses (n, m) of a search in order; NaN where it failed or a constraint is violated."""
    measured = np.array(record["points"], float)
    losses = measured[:, : len(record["losses"])].copy()
    if measured.shape[1] > losses.shape[1]:
        losses[~(measured[:, -1] == 0)] = np.nan
    return losses


def regrets(records: Sequence[Record]) -> tuple[list[Record], Floats]:
    """Return the records with hypervolume regrets as their losses, and the reference."""
    corner = reference_of(records)
    best = records[0].get("volume")
    if best is None:
        best = hypervolume(np.concatenate([feasible(record) for record in records]), corner)
    views = []
    for record in records:
        points = feasible(record)
        volumes = [hypervolume(points[:n], corner) for n in [*record["queries"], len(points)]]
        # Sums of areas in different orders round differently; a regret neither rises nor is negative.
        curve = np.minimum.accumulate(np.maximum(1 - np.array(volumes) / (best or 1.0), 0.0)).tolist()
        numbers = {"val_loss": curve[-1], "val_regret": curve[-1], "val_curve": curve[:-1]}
        views.append({**record, **numbers, "label": "hypervolume regret"})
    return views, corner


def front_report(
    title: str,
    records: Sequence[Record],
    order: Sequence[str],
    budget: int,
    reference: str | None,
    folder: Path,
) -> Report:
    """Return the report of searches of several losses, from records with ``points`` and names of ``losses``.

    Points are losses and, where there are constraints, violations. Where records bring ``reference`` and
    ``volume``, those of the true front, regrets are against it, else against all searches together.
    """
    if not records:
        return Report(title, [["algorithm", "trials"]], ["No trial has ended yet."], [], [], {})
    views, corner = regrets(records)
    groups = by_group(views, order)
    numbers = scalars(groups)
    names = records[0]["losses"]
    text = VOLUMES.format(
        reference=", ".join(f"{name} {value:.4g}" for name, value in zip(names, corner, strict=True)),
        best=TRUE if "volume" in records[0] else UNION,
    )
    pictures = draw_all(groups, folder / "images")
    if len(names) == 2:
        pictures.insert(0, folder / "images/attainment.png")
        draw_attainment(groups, names, pictures[0])
    sections = [Section("Every algorithm", [text], everything(groups, numbers))]
    if "front_share" in records[0]:
        sections.append(Section("Share of the true front", [SHARE], shares(groups)))
    scores = {name.replace("val_regret", "hypervolume_regret"): value
              for name, value in numbers.items() if "/val_loss/" not in name}  # fmt: skip
    return Report(
        title,
        headline(groups, numbers),
        verdict(groups, numbers, budget, reference),
        sections,
        pictures,
        scores,
    )


SHARE = "Different points of the table's front that a search evaluated, as a share: mean, least and greatest."


def shares(groups: Groups) -> list[list[str]]:
    """Return one row an algorithm: the share of the true front's points that its trials have."""
    rows = [["algorithm", "mean", "least", "greatest"]]
    for label, records in groups.items():
        values = [record["front_share"] for record in records]
        rows.append([label, *(format_value(v) for v in (float(np.mean(values)), min(values), max(values)))])
    return rows


def draw_attainment(groups: Groups, names: Sequence[str], path: Path) -> None:
    """Draw what half of the trials of each algorithm have attained, and between which fronts quarters end."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.add_subplot()
    shown = []
    for place, (label, records) in enumerate(groups.items()):
        fronts = [points[front(points)] for points in map(feasible, records)]
        stairs = [attainment(fronts, level) for level in LEVELS]
        style: dict[str, Any] = {"color": COLORS[place % len(COLORS)]}
        dashes = DASHES[place // len(COLORS) % len(DASHES)]
        axes.step(*stairs[1].T, where="post", label=f"{label} ({len(records)})", ls=dashes, **style)
        if len(records) >= 4:  # quarters of fewer are no quarters
            for stair in (stairs[0], stairs[2]):
                axes.step(*stair.T, where="post", lw=0.6, alpha=0.6, **style)
        shown.append(stairs[1])
    corners = np.concatenate(shown)
    if len(corners):
        low, high = corners.min(0), corners.max(0)
        margin = 0.05 * (high - low) + 1e-9
        axes.set(
            xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1])
        )
    axes.set(xlabel=names[0], ylabel=names[1])
    axes.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside right upper")
    axes.set_title("attained by half of the trials (thick), a quarter and three quarters (thin)", fontsize=9)
    figure.savefig(path, dpi=110)
