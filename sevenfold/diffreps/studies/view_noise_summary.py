"""Tables and picture of the law of volumes under each kind of view noise."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.diffreps.worlds.view_noise_covariance import KINDS
from sevenfold.records import Record
from sevenfold.study import Table

RINGS = 7  # columns of the headline
STYLES = {"heun": "-", "euler": "--"}
PLAIN = ("product_of_views", *(f"{kind}/heun" for kind in KINDS), "joint_prior/heun")


def by_ring(records: Sequence[Record]) -> dict[int, dict[str, Record]]:
    """Return records by the number of views, rising, and by name."""
    rings: dict[int, dict[str, Record]] = {}
    for record in records:
        views, _, name = record["key"].partition("/")
        rings.setdefault(int(views), {})[name] = record
    return dict(sorted(rings.items()))


def headline(records: Sequence[Record]) -> Table:
    """Return the total spread: one row for each kind of noise, one column for each ring."""
    rings = dict(list(by_ring(records).items())[:RINGS])
    rows = [["noise", *(f"{views} views" for views in rings)]]
    for name in PLAIN:
        if any(name in ring for ring in rings.values()):
            cells = [f"{ring[name]['total']:.3f}" if name in ring else "-" for ring in rings.values()]
            rows.append([name.partition("/")[0].replace("_", " "), *cells])
    return rows


def table(records: Sequence[Record]) -> Table:
    """Return the table of all records: the three spreads, and the overlap of a ring."""
    fields = ("total", "top", "rest", "overlap")
    rows = [["views", "noise", *fields]]
    for views, ring in by_ring(records).items():
        for name, record in ring.items():
            rows.append([str(views), name, *(f"{record[f]:.3f}" if f in record else "-" for f in fields)])
    return rows


def draw(records: Sequence[Record], path: Path) -> bool:
    """Draw the total spread against the number of views, and beside it against rounds of resampling.

    Returns whether there was anything to draw.
    """
    from matplotlib.figure import Figure

    rings = by_ring(records)
    if not rings:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    resampled = [ring for ring in rings.values() if "joint_prior/heun" in ring]
    columns = 1 + bool(resampled)
    figure = Figure(figsize=(5 * columns, 4.2), layout="constrained")
    row = figure.subplots(1, columns, sharey=True, squeeze=False)[0]
    _draw_rings(row[0], rings)
    if resampled:
        _draw_rounds(row[1], resampled[0])
    for axes in row:
        axes.axhline(1, color="black", lw=0.8)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    return True


def _draw_rings(axes: Any, rings: Mapping[int, Mapping[str, Record]]) -> None:
    """Draw a line for each kind of noise and order of the steps, over the number of views."""
    for i, kind in enumerate(KINDS):
        for order, style in STYLES.items():
            name = f"{kind}/{order}"
            points = [(views, ring[name]["total"]) for views, ring in rings.items() if name in ring]
            label = kind.replace("_", " ") if order == "heun" else None
            axes.plot(*np.array(points).reshape(-1, 2).T, f"o{style}", color=f"C{i}", label=label, ms=4)
    axes.set(
        xscale="log", xlabel="views", ylabel="spread relative to the truth", title="Heun (-), Euler (--)"
    )
    axes.set_xticks(list(rings), [str(views) for views in rings])
    axes.minorticks_off()


def _draw_rounds(axes: Any, ring: Mapping[str, Record]) -> None:
    """Draw a line for each kind of noise over rounds of resampling, and the limit of many rounds."""
    for i, kind in enumerate(KINDS):
        points = rounds_of(ring, kind)
        if len(points) > 1:
            label = kind.replace("_", " ")
            axes.plot(*np.array(points).T, "o-", color=f"C{i}", label=label, ms=4)
    if "product_of_views" in ring:  # not in a report of some records
        axes.axhline(ring["product_of_views"]["total"], color="gray", ls=":", label="product of views")
    axes.set(xlabel="rounds of resampling", title="resampling, first ring, Heun")


def rounds_of(ring: Mapping[str, Record], kind: str) -> list[tuple[int, float]]:
    """Return pairs of rounds and total spread of a kind of noise, sorted; 0 rounds are the plain law."""
    pairs = [(0, ring[f"{kind}/heun"]["total"])] if f"{kind}/heun" in ring else []
    prefix = f"{kind}/heun_rounds"
    pairs += [
        (int(name.removeprefix(prefix)), record["total"])
        for name, record in ring.items()
        if name.startswith(prefix)
    ]
    return sorted(pairs)
