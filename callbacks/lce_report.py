"""Pictures of learning-curve extrapolation: rank correlation by epoch, regret against epochs spent."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from callbacks.records import RecordsWriter, records_folder
from sevenfold.files import write_text
from sevenfold.report import aligned


class LCEReport(RecordsWriter):
    """Write records; draw ``images/lce_study.png``, or ``images/lce_search.png`` with ``table.txt``."""

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Merge the records; draw on rank zero."""
        super().on_predict_end(trainer, pl_module)
        if not trainer.is_global_zero or not self._records:
            return
        folder = records_folder(trainer).parent / "images"
        folder.mkdir(exist_ok=True)
        study = "seen" in self._records[0]
        name, draw = ("lce_study.png", draw_study) if study else ("lce_search.png", draw_search)
        draw(self._records, folder / name)
        if not study:
            text = aligned(pairs(self._records))
            write_text(folder.parent / "table.txt", text + "\n")
            trainer.print(f"\n{text}")


def draw_study(records: list[dict[str, Any]], path: Path) -> None:
    """Draw Kendall's tau with the final accuracy against the epochs seen, one line an extrapolator."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = {"tau": "all trainings", "alive_tau": "those that end above chance"}
    for axes, (field, title) in zip(figure.subplots(1, 2, sharey=True), panels.items(), strict=True):
        for label in dict.fromkeys(record["group"].rpartition("/")[0] for record in records):
            own = [record for record in records if record["group"].rpartition("/")[0] == label]
            seen = sorted({record["seen"] for record in own})
            values = [[record[field] for record in own if record["seen"] == epoch] for epoch in seen]
            axes.errorbar(
                seen, [np.mean(v) for v in values], [np.std(v) for v in values], marker="o", ms=3, label=label
            )
        axes.set(xlabel="epochs seen", ylabel="Kendall's tau with the end", title=title)
        axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def pairs(records: list[dict[str, Any]]) -> list[list[str]]:
    """Return a table over searches; one with extrapolation is compared with the same without, seed by seed.

    The difference has its 95 % interval (normal, paired); the verdict is ``better`` or ``worse`` where the
    interval leaves out zero.
    """
    rows = [["search", "trials", "regret", "test", "observed", "finished", "trained", "against", "difference",
             "verdict"]]  # fmt: skip
    by_group: dict[str, dict[int, dict[str, Any]]] = {}
    for record in records:
        by_group.setdefault(record["group"], {})[record["seed"]] = record
    for label, own in by_group.items():
        cells = [label, str(len(own))]
        cells += [_interval([r.get(name) for r in own.values()]) for name in REGRETS]
        cells += [f"{np.mean([r[name] for r in own.values()]):.0f}" for name in ("finished", "trainings")]
        other = by_group.get(next(iter(own.values())).get("plain", ""), {})
        both = [seed for seed in own if seed in other]
        cells += _compared(label, own, other, both) if len(both) > 1 else ["-", "-", "-"]
        rows.append(cells)
    return rows


REGRETS = ("regret", "test_regret", "observed_regret")


def _compared(label: str, own: Any, other: Any, seeds: list[int]) -> list[str]:
    gap = np.array([own[seed]["regret"] - other[seed]["regret"] for seed in seeds])
    error = 1.96 * gap.std(ddof=1) / len(gap) ** 0.5
    verdict = "no difference" if abs(gap.mean()) <= error else "better" if gap.mean() < 0 else "worse"
    return [next(iter(other.values()))["group"], f"{gap.mean():+.3f} +- {error:.3f}", verdict]


def _interval(values: list[float | None]) -> str:
    known = np.array([value for value in values if value is not None])
    if not len(known):
        return "-"
    error = 1.96 * known.std(ddof=1) / len(known) ** 0.5 if len(known) > 1 else 0.0
    return f"{known.mean():.3f} +- {error:.3f}"


def draw_search(records: list[dict[str, Any]], path: Path) -> None:
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
    figure.savefig(path, dpi=110)


def families(records: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the labels of each panel: a plain search with those that extend it; the rest together."""
    plain = {record["group"]: record.get("plain") for record in records}
    found: dict[str, list[str]] = {}
    for label, partner in plain.items():
        if partner is not None:
            found.setdefault(partner, [partner]).append(label)
    rest = [label for label in plain if not any(label in labels for labels in found.values())]
    return {**found, **({"others": rest} if rest else {})}
