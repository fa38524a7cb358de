"""Tables, picture and verdict of samplers at equal calls."""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sevenfold.diffreps.binding import CASES, case_of
from sevenfold.files import replace_file
from sevenfold.records import Record
from sevenfold.study import Table

COLUMNS = {"energy": ".3f", "log_likelihood": ".4g", "correct": ".2f", "diversity": ".2f"}
TITLES = {"energy": "energy", "log_likelihood": "log-lik.", "correct": "class", "diversity": "diversity"}
Figures = Mapping[str, tuple[float, float]]


def arms(records: Sequence[Record]) -> dict[str, dict[str, tuple[float, float]]]:
    """Return mean and standard deviation (NaN of one seed) over seeds of every figure, by arm.

    A seed's figure is the mean over its samples, of the log-likelihood the median.
    """
    groups: dict[str, dict[int, list[Record]]] = {}
    for record in records:
        if "seed" in record:
            groups.setdefault(record["group"], {}).setdefault(record["seed"], []).append(record)
    return {group: _figures(list(by_seed.values())) for group, by_seed in groups.items()}


def _figures(seeds: Sequence[Sequence[Record]]) -> dict[str, tuple[float, float]]:
    figures = {}
    for name in (*COLUMNS, "calls", "rate"):
        if seeds[0][0].get(name) is not None:
            middle = statistics.median if name == "log_likelihood" else statistics.fmean
            values = [middle(record[name] for record in part) for part in seeds]
            deviation = statistics.stdev(values) if len(values) > 1 else math.nan
            figures[name] = (statistics.fmean(values), deviation)
    return figures


def bindings(records: Sequence[Record]) -> dict[str, float]:
    """Return the binding of each representation."""
    return {
        record["group"].rpartition("/")[0]: record["binding"]
        for record in records
        if record.get("binding") is not None
    }


def verdict(records: Sequence[Record]) -> list[str]:
    """Return, for each representation, which case it is and which arms are best by what."""
    sentences, by_arm, views = [], arms(records), 1
    for label, value in bindings(records).items():
        sentences.append(f"{label} (binding {value:.2g}) {CASES[case_of(value, views)]}.")
    for label in dict.fromkeys(group.partition("/")[0] for group in by_arm):
        own = {group: figures for group, figures in by_arm.items() if group.partition("/")[0] == label}
        best = [_best(own, "energy", min), _best(own, "log_likelihood", max), _best(own, "correct", max)]
        sentences += [f"Of {label}: {'; '.join(text for text in best if text)}."] if any(best) else []
    return sentences


def _best(own: Mapping[str, Figures], name: str, choose: Any) -> str:
    known = {group: figures[name] for group, figures in own.items() if name in figures}
    if not known:
        return ""
    group = choose(known, key=lambda each: known[each][0])
    side = "least" if choose is min else "most"
    return f"{side} {TITLES[name]} {group.partition('/')[2]} ({_shown(name, known[group])})"


def _shown(name: str, figure: tuple[float, float]) -> str:
    """Return a figure as text, with its deviation where there are seeds to have one."""
    value, deviation = figure
    spread = "" if math.isnan(deviation) else f" +- {deviation:.2g}"
    return f"{value:{COLUMNS[name]}}{spread}"


def headline(records: Sequence[Record]) -> Table:
    """Return a row for each arm."""
    by_arm = arms(records)
    names = [name for name in COLUMNS if any(name in figures for figures in by_arm.values())]
    rated = any("rate" in figures for figures in by_arm.values())
    rows = [["", "calls", *(TITLES[name] for name in names), *(["rate"] if rated else [])]]
    for group, figures in by_arm.items():
        cells = [_shown(name, figures[name]) if name in figures else "-" for name in names]
        rate = [f"{figures['rate'][0]:g}" if "rate" in figures else "-"] if rated else []
        rows.append([group, f"{figures['calls'][0]:g}", *cells, *rate])
    return rows


def scalars(records: Sequence[Record]) -> dict[str, float]:
    """Return the figures by flat name."""
    values = {
        f"{group}/{name}": figures[name][0]
        for group, figures in arms(records).items()
        for name in (*COLUMNS, "calls")
        if name in figures
    }
    return values | {f"{label}/binding": value for label, value in bindings(records).items()}


def draw(records: Sequence[Record], path: Path) -> bool:
    """Draw a panel for each representation: diversity against likelihood or class; False without figures."""
    by_arm = arms(records)
    if not any("diversity" in figures for figures in by_arm.values()):
        return False
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(group.partition("/")[0] for group in by_arm))
    figure = Figure(figsize=(4.2 * len(labels), 3.6), layout="constrained")
    for axes, label in zip(figure.subplots(1, len(labels), squeeze=False)[0], labels, strict=True):
        own = {group: figures for group, figures in by_arm.items() if group.partition("/")[0] == label}
        name = next(
            (n for n in ("log_likelihood", "correct", "energy") if n in next(iter(own.values()))), "energy"
        )
        if name == "log_likelihood":
            axes.set_yscale("symlog")
        for group, figures in own.items():
            (x, dx), (y, dy) = figures["diversity"], figures[name]
            dx, dy = (0.0 if math.isnan(deviation) else deviation for deviation in (dx, dy))
            axes.errorbar(x, y, dy, dx, fmt="none", color="0.6", lw=1)
            # the area of a mark is the number of calls
            axes.scatter(x, y, s=max(10.0, figures["calls"][0]), label=group.partition("/")[2])
        axes.axvline(1, color="0.8", lw=1)
        axes.margins(0.1)
        axes.set(xlabel="diversity (truth 1)", ylabel=TITLES[name], title=label)
        axes.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    return True
