"""Export a fitted surrogate and draw it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from sevenfold.nas.x11.export import save
from sevenfold.report import aligned

COLUMNS = ("avg_r2", "final_r2", "avg_tau", "final_tau", "alive_avg_r2", "alive_final_r2", "alive_avg_tau",
           "alive_final_tau", "top_bias", "leak")  # fmt: skip


class X11Report(pl.Callback):
    """Write ``surrogate/`` after a fit; print one table over the test parts; draw into ``images/``.

    ``x11_curves.png``: real and predicted curves with the 10 % to 90 % band of noisy draws;
    ``x11_spectrum.png``: explained variance by component; ``x11_tau.png``: rank correlation by epoch.
    """

    def __init__(self) -> None:
        self.found: list[tuple[str, Any]] = []

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Export."""
        if trainer.is_global_zero:
            save(pl_module.surrogate, Path(trainer.default_root_dir) / "surrogate")

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what is drawn."""
        self.found.append((batch.name, outputs))

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print and draw."""
        if not trainer.is_global_zero or not self.found:
            return
        rows = [["", *COLUMNS, "seconds"]]
        for name, judgement in self.found:
            values = [trainer.callback_metrics.get(f"{name}/{column}") for column in COLUMNS]
            rows.append([name, *("-" if v is None else f"{float(v):.3f}" for v in values)])
            rows[-1].append(f"{judgement.seconds:.1f}")
        trainer.print(f"\n{aligned(rows)}")
        folder = Path(trainer.default_root_dir) / "images"
        folder.mkdir(exist_ok=True)
        first = self.found[0][1].arrays
        draw_curves(first, folder / "x11_curves.png")
        draw_tau(self.found, folder / "x11_tau.png")
        if len(first["energy"]):
            draw_spectrum(first["energy"], folder / "x11_spectrum.png")
        self.found = []


def draw_curves(arrays: dict[str, Any], path: Path) -> None:
    """Draw some architectures from the worst to the best predicted."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.5), layout="constrained")
    for axes, place, drawn, real in zip(
        figure.subplots(2, 3).flat, arrays["shown"], arrays["drawn"], arrays["real"], strict=True
    ):
        epochs = np.arange(1, drawn.shape[1] + 1)
        low, high = np.quantile(drawn, [0.1, 0.9], axis=0)
        axes.fill_between(epochs, low, high, alpha=0.25, label="10 % to 90 % of noisy draws")
        axes.plot(epochs, drawn[0], lw=0.8, color="C2", label="one noisy draw")
        for run, curve in enumerate(real):
            axes.plot(epochs, curve, lw=0.9, color="black", alpha=0.7, label="" if run else "real runs")
        axes.plot(epochs, arrays["predicted"][place], color="C0", lw=1.8, label="predicted")
        axes.set(xlabel="epoch", ylabel="accuracy, %")
        axes.grid(alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=9)
    figure.savefig(path, dpi=110)


def draw_spectrum(energy: np.ndarray, path: Path) -> None:
    """Draw the share of variance around the mean curve that each component explains and leaves."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes, numbers = figure.subplots(), np.arange(1, len(energy) + 1)
    axes.semilogy(numbers, np.maximum(energy, 1e-9), marker="o", label="explained by component k")
    axes.semilogy(numbers, np.maximum(1 - energy.cumsum(), 1e-9), marker="s", label="left after k components")
    axes.set(xlabel="component k", ylabel="share of the variance around the mean curve")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def draw_tau(found: list[tuple[str, Any]], path: Path) -> None:
    """Draw Kendall's tau between predicted and real accuracy at every epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, judgement in found:
        tau = judgement.arrays["tau"]
        axes.plot(np.arange(1, len(tau) + 1), tau, label=f"predicted, {name}")
    if "between_runs" in found[0][1].arrays:
        tau = found[0][1].arrays["between_runs"]
        axes.plot(np.arange(1, len(tau) + 1), tau, color="black", ls=":", label="between two real runs")
    axes.set(xlabel="epoch", ylabel="Kendall's tau with the real accuracy at that epoch")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)
