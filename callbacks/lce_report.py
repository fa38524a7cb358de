"""Pictures of learning-curve extrapolation: rank correlation by epoch, regret against epochs spent."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from callbacks.records import RecordsWriter, records_folder


class LCEReport(RecordsWriter):
    """Write records and draw them: ``images/lce_study.png`` or ``images/lce_search.png``."""

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


def draw_search(records: list[dict[str, Any]], path: Path) -> None:
    """Draw mean regret against simulated epochs with 95 % intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for label in dict.fromkeys(record["group"] for record in records):
        own = [record for record in records if record["group"] == label]
        grid, curves = np.array(own[0]["grid"]), np.array([record["curve"] for record in own])
        error = 1.96 * curves.std(axis=0) / len(own) ** 0.5
        (line,) = axes.plot(grid, curves.mean(axis=0), label=label)
        axes.fill_between(
            grid, curves.mean(0) - error, curves.mean(0) + error, alpha=0.2, color=line.get_color()
        )
    axes.set(xlabel="epochs spent", ylabel="regret of the best finished, points", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)
