"""Figures of a benchmark table: histogram of accuracies, curves, stability of the ranking."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from sevenfold.errors import InputError


class BenchmarkFigures(pl.Callback):
    """Report the description that a prediction returns; draw it as ``images/benchmark.png``."""

    def __init__(self) -> None:
        self._numbers: dict[str, float] = {}

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: int
    ) -> None:
        """Draw on rank zero."""
        if not hasattr(outputs, "epoch_taus"):
            raise InputError("benchmark_figures needs the model benchmark_description")
        self._numbers = outputs.numbers()
        if trainer.is_global_zero:
            folder = Path(trainer.default_root_dir) / "images"
            folder.mkdir(exist_ok=True)
            draw(outputs, folder / "benchmark.png")

    def results(self) -> dict[str, float]:
        """Return the headline numbers, for ``results.json``."""
        return self._numbers


def draw(found: Any, path: Path) -> None:
    """Draw a description's histogram, quantiles of its curves and rank correlations by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    histogram, curves, ranks = figure.subplots(1, 3)
    histogram.hist(found.final, bins=60)
    histogram.set(xlabel="validation accuracy, mean of the runs, %", ylabel="networks")
    for share in (5, 25, 50, 75, 95):
        curves.plot(found.epochs, np.percentile(found.curves.mean(axis=1), share, axis=0), label=f"{share} %")
    curves.set(xlabel="epoch", ylabel="validation accuracy, %", title="quantiles over networks")
    curves.legend()
    ranks.plot(found.epochs, found.epoch_taus, label="one run, epoch e, to the mean's end")
    ranks.axhline(np.mean(found.seed_taus), color="gray", linestyle="--", label="two runs, last epoch")
    ranks.axhline(found.split_tau, color="gray", linestyle=":", label="val to test, mean runs")
    ranks.set(xlabel="epoch", ylabel="Kendall's tau", ylim=(0, 1))
    ranks.legend()
    figure.savefig(path, dpi=110)
