"""Pictures of searches: curves of incumbents, the end of each search, sweeps over a number."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.evidence import FEWEST
from sevenfold.nas.studies.search_summary import title
from sevenfold.targets import FLOOR, Targets, time_to_target

Groups = Mapping[str, Sequence[Mapping[str, Any]]]

NUMBERED = re.compile(r"(?P<family>.+)_(?P<number>\d+)")
COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22",
          "#17becf", "#000000", "#c5b0d5", "#ffbb78", "#003f5c")  # fmt: skip
DASHES = ("-", "--", ":")


def draw_all(groups: Groups, folder: Path) -> list[Path]:
    """Draw what the records allow into a folder; return the files, the most telling first."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [folder / "incumbents.png"]
    records = [record for rows in groups.values() for record in rows]
    draw_curves(groups, folder / "incumbents.png", "queries", lambda record: record["queries"])
    if all("val_regret" in record for record in records):
        pictures.insert(0, folder / "trials.png")
        draw_trials(groups, pictures[0])
        if reached := targets(groups):
            pictures.insert(1, folder / "targets.png")
            draw_targets(reached, groups, pictures[1])
    if all("seconds_curve" in record for record in records):
        hours = "simulated hours"
        pictures.append(folder / "time.png")
        draw_curves(groups, pictures[-1], hours, lambda r: np.array(r["seconds_curve"]) / 3600)
    if len(groups) > 1:
        pictures.append(folder / "final.png")
        draw_ends(groups, pictures[-1])
    if families := sweeps(groups):
        pictures.append(folder / "sweep.png")
        draw_sweeps(groups, families, pictures[-1])
    return pictures


def draw_trials(groups: Groups, path: Path) -> None:
    """Draw a panel for each algorithm: regret of every trial, median and quartiles, the best one in gray."""
    from matplotlib.figure import Figure

    curves = {label: _regrets(records) for label, records in groups.items()}
    order = sorted(curves, key=lambda label: float(curves[label][:, -1].mean()))
    columns = min(4, len(order))
    rows = -(-len(order) // columns)
    figure = Figure(figsize=(2.7 * columns, 2.1 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
    best = np.median(curves[order[0]], axis=0)
    for axes, label in zip(panels, order, strict=False):
        queries = groups[label][0]["queries"][: curves[label].shape[1]]
        axes.plot(queries, curves[label].T, color="#1f77b4", lw=0.4, alpha=0.35)
        low, median, high = np.percentile(curves[label], [25, 50, 75], axis=0)
        axes.plot(groups[order[0]][0]["queries"][: len(best)], best, color="#999999", lw=1.5)
        if len(curves[label]) >= FEWEST:
            axes.fill_between(queries, low, high, color="#1f77b4", alpha=0.25, lw=0)
        axes.plot(queries, median, color="#0b3c5d", lw=1.8)
        axes.set_title(f"{label} ({len(curves[label])})", fontsize=8)
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
    for axes in list(panels)[len(order) :]:
        axes.remove()
    figure.suptitle(
        f"regret + {FLOOR:g} by evaluations: trials, median, quartiles; gray: {order[0]}", fontsize=9
    )
    figure.savefig(path, dpi=110)


def targets(groups: Groups) -> dict[str, Targets]:
    """Return when each algorithm reaches ten losses between random search's first and the optimum."""
    random = [records for records in groups.values() if records[0]["algorithm"] == "random"][:1]
    if not random or (start := np.median(_regrets(random[0])[:, 0])) <= FLOOR:
        return {}
    return {
        label: time_to_target(_regrets(records) - FLOOR, [start - FLOOR], 0.0, evaluations=_queries(records))
        for label, records in groups.items()
    }


def draw_targets(reached: Mapping[str, Targets], groups: Groups, path: Path) -> None:
    """Draw the share of trials and targets that each algorithm has reached, by evaluations."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    order = sorted(reached, key=lambda label: -reached[label].share(int(_queries(groups[label])[-1])))
    for place, label in enumerate(order):
        queries = _queries(groups[label])
        shares = [reached[label].share(int(at)) for at in queries]
        color, dashes = COLORS[place % len(COLORS)], DASHES[place // len(COLORS) % len(DASHES)]
        axes.step(queries, shares, where="post", label=label, color=color, ls=dashes)
    axes.set(xlabel="evaluations", ylabel="share of trials x targets reached", ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside right upper")
    axes.set_title("ten targets from random search's first loss to the optimum", fontsize=9)
    figure.savefig(path, dpi=110)


def _queries(records: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Return the evaluations that all trials' curves have, (T,)."""
    shortest: list[float] = min((record["queries"] for record in records), key=len)
    return np.array(shortest, float)


def _regrets(records: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Return the regret of every trial by evaluation, (trials, T), raised by what a logarithm needs."""
    length = len(_queries(records))
    optimum = records[0]["val_loss"] - records[0]["val_regret"]
    curves = np.array([record["val_curve"][:length] for record in records])
    return np.maximum(curves - optimum, 0.0) + FLOOR


def draw_curves(groups: Groups, path: Path, xlabel: str, abscissa: Callable[[Any], Any]) -> None:
    """Draw means of the incumbents' losses with the 95 % interval of the mean."""
    from matplotlib.figure import Figure

    first = next(iter(groups.values()))[0]
    curves = [curve for curve in ("val_curve", "test_curve") if curve in first]
    figure = Figure(figsize=(5.2 * len(curves), 4.4), layout="constrained")
    for axes, curve in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves, strict=True):
        settled: list[float] = []
        for place, (label, records) in enumerate(groups.items()):
            length = min(len(record[curve]) for record in records)
            x = np.mean([abscissa(record)[:length] for record in records], axis=0)
            mean, error = _along(np.array([record[curve][:length] for record in records]))
            style = {"color": COLORS[place % len(COLORS)], "ls": DASHES[place // len(COLORS) % len(DASHES)]}
            axes.plot(x, mean, label=label, **style)
            if len(records) >= FEWEST:  # two trials say nothing about the spread of others
                axes.fill_between(
                    x, mean - 1.96 * error, mean + 1.96 * error, alpha=0.15, color=style["color"]
                )
            settled += mean[length // 5 :].tolist()  # the first fall would flatten all the rest
        axes.set(xlabel=xlabel, ylabel=f"{title(curve.replace('curve', 'loss'), groups)} of the incumbent")
        _limits(axes, settled)
        axes.grid(alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="outside lower center", ncols=min(4, len(labels)))
    figure.suptitle("mean over trials and 95 % interval of the mean")
    figure.savefig(path, dpi=110)


def draw_ends(groups: Groups, path: Path) -> None:
    """Draw one row for each label: the mean loss at the end and its 95 % interval."""
    from matplotlib.figure import Figure

    first = next(iter(groups.values()))[0]
    fields = [field for field in ("val_loss", "test_loss") if field in first]
    figure = Figure(figsize=(4.6 * len(fields) + 1.5, 0.3 * len(groups) + 1.4), layout="constrained")
    axes_row = figure.subplots(1, len(fields), squeeze=False, sharey=True)[0]
    for axes, field in zip(axes_row, fields, strict=True):
        ends = [_along(np.array([[record[field]] for record in rows])) for rows in groups.values()]
        means, errors = (np.concatenate([end[k] for end in ends]) for k in (0, 1))
        places = np.arange(len(groups))
        axes.errorbar(means, places, xerr=1.96 * errors, fmt="o", color="#1f77b4", capsize=2)
        axes.set_yticks(places, list(groups))
        axes.set_xlabel(f"{title(field, groups)} at the end")
        axes.grid(alpha=0.3)
    axes_row[0].invert_yaxis()
    figure.savefig(path, dpi=110)


def sweeps(groups: Groups) -> dict[str, list[tuple[int, str]]]:
    """Return the families of labels that differ in a number at their end, three or more of a kind."""
    families: dict[str, list[tuple[int, str]]] = {}
    for label in groups:
        if match := NUMBERED.fullmatch(label):
            families.setdefault(match["family"], []).append((int(match["number"]), label))
    return {family: sorted(members) for family, members in families.items() if len(members) > 2}


def draw_sweeps(groups: Groups, families: Mapping[str, list[tuple[int, str]]], path: Path) -> None:
    """Draw the loss at the end against the number in the label."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for family, members in families.items():
        ends = [_along(np.array([[record["val_loss"]] for record in groups[label]])) for _, label in members]
        means, errors = (np.concatenate([end[k] for end in ends]) for k in (0, 1))
        axes.errorbar([n for n, _ in members], means, 1.96 * errors, marker="o", capsize=2, label=family)
    axes.set(xlabel="number in the label (cutoff)", ylabel=f"{title('val_loss', groups)} at the end")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def _along(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means over trials and their standard errors, (n,) each."""
    errors = values.std(axis=0, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0 * values[0]
    return values.mean(axis=0), errors


def _limits(axes: Any, settled: Sequence[float]) -> None:
    margin = 0.05 * float(np.ptp(settled)) + 1e-6
    axes.set_ylim(min(settled) - margin, max(settled) + margin)
