"""Table and picture of models of noise."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from sevenfold.files import write_text
from sevenfold.report import aligned

COLUMNS = ("std_ratio", "autocorrelation", "real_autocorrelation", "spike_share", "real_spike_share",
           "paper_spike_share", "avg_kl", "final_kl", "paper_kl")  # fmt: skip


class NoiseReport(pl.Callback):
    """Print one row for each model, into ``table.txt`` too; draw ``images/x11_noise.png``."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *place: int
    ) -> None:
        """Keep what is drawn."""
        self.found = outputs

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print and draw."""
        if not trainer.is_global_zero:
            return
        rows = [["noise", *COLUMNS]]
        rows += [
            [label, *(f"{one.scores[name]:.3f}" for name in COLUMNS)] for label, one in self.found.items()
        ]
        folder = Path(trainer.default_root_dir)
        write_text(folder / "table.txt", aligned(rows) + "\n")
        trainer.print(f"\n{aligned(rows)}")
        (folder / "images").mkdir(exist_ok=True)
        draw_noise(self.found, folder / "images/x11_noise.png")


def draw_noise(found: dict[str, Any], path: Path) -> None:
    """Draw the standard deviation by epoch and a few curves of each model beside real deviations."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    real = next(iter(found.values()))
    epochs = np.arange(1, len(real.real_sigma) + 1)
    left.plot(epochs, real.real_sigma, color="black", lw=2, label="third training")
    right.plot(epochs, real.real_lags, color="black", lw=2, label="third training")
    for label, one in found.items():
        left.plot(epochs, one.sigma, label=label)
        right.plot(epochs, one.lags, label=label)
    left.set(xlabel="epoch", ylabel="standard deviation, points", title="strength of noise")
    right.set(xlabel="epoch", ylabel="correlation with the epoch before", title="memory of noise")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)
