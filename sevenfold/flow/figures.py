"""Figures about flow estimators, as files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from sevenfold.flow.convergence import Convergence


def draw_convergence(convergence: Convergence, path: Path) -> None:
    """Draw residual and error against evaluations of f: medians and quartiles over the pairs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in convergence.solvers:
        residual, epe = convergence.joined(name, "residual"), convergence.joined(name, "epe")
        for axes, xs, values in (
            (left, range(1, len(residual) + 1), residual),
            (right, convergence.steps, epe),
        ):
            low, middle, high = torch.nanquantile(values, torch.tensor([0.25, 0.5, 0.75]).double(), dim=1)
            axes.plot(xs, middle, label=name)
            axes.fill_between(xs, low, high, alpha=0.2)
    left.set(xlabel="evaluations of f", ylabel="relative residual", yscale="log")
    right.set(xlabel="evaluations of f", ylabel="end-point error, px")
    left.legend()
    figure.suptitle(f"{len(convergence.names)} pairs, median and quartiles")
    figure.savefig(path, dpi=110)


def draw_speed(means: Mapping[str, float], labels: Sequence[str], path: Path) -> None:
    """Draw the mean errors ``speed/DATASET/LABEL`` as bars, one group a label."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    datasets = sorted({name.split("/")[1] for name in means})
    for place, dataset in enumerate(datasets):
        heights = [means.get(f"speed/{dataset}/{label}", 0.0) for label in labels]
        width = 0.8 / len(datasets)
        axes.bar([x + place * width for x in range(len(labels))], heights, width, label=dataset)
    axes.set_xticks([x + 0.4 - 0.4 / len(datasets) for x in range(len(labels))], labels)
    axes.set(xlabel="true speed, px", ylabel="end-point error, px")
    axes.legend()
    figure.savefig(path, dpi=110)


def draw_errors(errors: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draw mean errors in px by estimator and data set, one group of bars a data set."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    datasets = sorted({dataset for of_one in errors.values() for dataset in of_one})
    width = 0.8 / max(1, len(errors))
    for place, (label, of_one) in enumerate(errors.items()):
        heights = [of_one.get(dataset, float("nan")) for dataset in datasets]  # no bar, not one of height 0
        axes.bar([x + place * width for x in range(len(datasets))], heights, width, label=label)
    axes.set_xticks([x + 0.4 - width / 2 for x in range(len(datasets))], datasets)
    axes.set(ylabel="end-point error, px")
    if errors:
        axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
