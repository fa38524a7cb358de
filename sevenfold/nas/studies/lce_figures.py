"""Pictures and tables of learning-curve extrapolation: rank correlation by epoch, regret against epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sevenfold.records import Record
from sevenfold.study import Table


def draw_taus(records: Sequence[Record], labels: Sequence[str], path: Path) -> None:
    """Draw Kendall's tau with the final accuracy against the epochs seen, one line an extrapolator."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = {"tau": "all trainings", "alive_tau": "those that end above chance"}
    for axes, (field, title) in zip(figure.subplots(1, 2, sharey=True), panels.items(), strict=True):
        for label in labels:
            own = [record for record in records if record["group"].rpartition("/")[0] == label]
            seen = sorted({record["seen"] for record in own})
            values = [[record[field] for record in own if record["seen"] == epoch] for epoch in seen]
            axes.errorbar(
                seen, [np.mean(v) for v in values], [np.std(v) for v in values], marker="o", ms=3, label=label
            )
        axes.set(xlabel="epochs seen", ylabel="Kendall's tau with the end", title=title)
        axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def pairs(records: Sequence[Record], labels: Sequence[str]) -> tuple[Table, Table]:
    """Return two tables over searches: regrets with comparisons, and trainings.

    A search with extrapolation is compared with the same without, seed by seed. The difference has its 95 %
    interval (normal, paired); the verdict is ``better`` or ``worse`` where the interval leaves out zero.
    """
    by_group: dict[str, dict[int, Record]] = {label: {} for label in labels}
    for record in records:
        by_group.setdefault(record["group"], {})[record["seed"]] = record
    regrets = [["search", "trials", *REGRETS, "against", "difference", "verdict"]]
    cost = [["search", "finished", "trained"]]
    for label, own in by_group.items():
        if not own:
            continue
        other = by_group.get(next(iter(own.values())).get("plain", ""), {})
        both = [seed for seed in own if seed in other]
        cells = [_interval([record.get(name) for record in own.values()]) for name in REGRETS.values()]
        compared = _compared(own, other, both) if len(both) > 1 else ["-", "-", "-"]
        regrets.append([label, str(len(own)), *cells, *compared])
        means = [f"{np.mean([r[name] for r in own.values()]):.0f}" for name in ("finished", "trainings")]
        cost.append([label, *means])
    return regrets, cost


REGRETS = {"regret": "regret", "test regret": "test_regret", "observed": "observed_regret"}


def _compared(own: Mapping[int, Record], other: Mapping[int, Record], seeds: Sequence[int]) -> list[str]:
    gap = np.array([own[seed]["regret"] - other[seed]["regret"] for seed in seeds])
    # Trials with the same seed meet the same networks: their differences vary less than the means.
    error = 1.96 * gap.std(ddof=1) / len(gap) ** 0.5
    verdict = "no difference" if abs(gap.mean()) <= error else "better" if gap.mean() < 0 else "worse"
    return [next(iter(other.values()))["group"], f"{gap.mean():+.3f} +- {error:.3f}", verdict]


def _interval(values: Sequence[float | None]) -> str:
    known = np.array([value for value in values if value is not None])
    if not len(known):
        return "-"
    error = 1.96 * known.std(ddof=1) / len(known) ** 0.5 if len(known) > 1 else 0.0
    return f"{known.mean():.3f} +- {error:.3f}"


def draw_regrets(records: Sequence[Record], path: Path) -> None:
    """Draw mean regret against simulated epochs with 95 % intervals, a panel for each pair and the rest."""
    from matplotlib.figure import Figure

    panels = families(records)
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(5 * columns, 3.8 * lines), layout="constrained")
    grid = list(figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat)
    for axes in grid[len(panels) :]:
        axes.axis("off")
    for axes, (title, labels) in zip(grid, panels.items(), strict=False):
        for label in labels:
            own = [record for record in records if record["group"] == label]
            place, curves = np.array(own[0]["grid"]), np.array([r["curve"] for r in own], float)
            known = ~np.isnan(curves).any(axis=0)
            mean, error = curves[:, known].mean(0), 1.96 * curves[:, known].std(0) / len(own) ** 0.5
            (line,) = axes.plot(place[known], mean, label=label)
            axes.fill_between(place[known], mean - error, mean + error, alpha=0.2, color=line.get_color())
        axes.set(
            xlabel="epochs spent", ylabel="regret of the best finished, points", yscale="log", title=title
        )
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def families(records: Sequence[Record]) -> dict[str, list[str]]:
    """Return the labels of each panel: a plain search with those that extend it; the rest together."""
    plain = {record["group"]: record.get("plain") for record in records}
    panels: dict[str, list[str]] = {}
    for label, partner in plain.items():
        if partner is not None:
            panels.setdefault(partner, [partner]).append(label)
    rest = [label for label in plain if not any(label in labels for labels in panels.values())]
    return {**panels, **({"others": rest} if rest else {})}
