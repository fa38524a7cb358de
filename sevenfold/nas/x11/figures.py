"""Figures about surrogates of learning curves and models of noise, as files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.nas.x11.base import Floats
from sevenfold.nas.x11.noise.judge import NoiseJudgement
from sevenfold.nas.x11.report import Judgement


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


def draw_spectrum(energy: Floats, path: Path) -> None:
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


def draw_tau(judged: Sequence[tuple[str, Judgement]], path: Path) -> None:
    """Draw Kendall's tau between predicted and real accuracy at every epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, judgement in judged:
        tau = judgement.arrays["tau"]
        axes.plot(np.arange(1, len(tau) + 1), tau, label=f"predicted, {name}")
    if "between_runs" in judged[0][1].arrays:
        tau = judged[0][1].arrays["between_runs"]
        axes.plot(np.arange(1, len(tau) + 1), tau, color="black", ls=":", label="between two real runs")
    axes.set(xlabel="epoch", ylabel="Kendall's tau with the real accuracy at that epoch")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def draw_noise(judged: Mapping[str, NoiseJudgement], path: Path) -> None:
    """Draw the standard deviation by epoch and a few curves of each model beside real deviations."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    real = next(iter(judged.values()))
    epochs = np.arange(1, len(real.real_sigma) + 1)
    left.plot(epochs, real.real_sigma, color="black", lw=2, label="third training")
    right.plot(epochs, real.real_lags, color="black", lw=2, label="third training")
    for label, one in judged.items():
        left.plot(epochs, one.sigma, label=label)
        right.plot(epochs, one.lags, label=label)
    left.set(xlabel="epoch", ylabel="standard deviation, points", title="strength of noise")
    right.set(xlabel="epoch", ylabel="correlation with the epoch before", title="memory of noise")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)
