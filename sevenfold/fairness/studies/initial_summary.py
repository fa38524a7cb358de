"""Table and pictures of the dependence of the bias on the weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from sevenfold.fairness.weight_sensitivity import Floats, shared_directions
from sevenfold.records import Record
from sevenfold.study import Table

COLUMNS = ("r2", "soft_bias", "spread")
TWO_SIDED = 2.2  # standard deviations that the paper's spread of R^2 is given in


def headline(records: Sequence[Record]) -> Table:
    """Return one row for each network, and one for each group: means, and 2.2 standard deviations of R^2."""
    rows = [["network", "R2 on held-out draws", "soft bias, mean of draws", "spread", "weights with 90 %"]]
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record["group"], []).append(record)
    for group, members in groups.items():
        for record in members:
            name = str(record["seed"]) if len(groups) == 1 else f"{group}, {record['seed']}"
            share = f"{100 * record['concentration']:.1f} %"
            rows.append([name, *(f"{record[field]:.3f}" for field in COLUMNS), share])
        r2 = np.array([record["r2"] for record in members])
        means = [f"{np.mean([record[field] for record in members]):.3f}" for field in COLUMNS[1:]]
        share = f"{100 * np.mean([record['concentration'] for record in members]):.1f} %"
        name = "mean" if len(groups) == 1 else f"{group}, mean"
        rows.append([name, f"{r2.mean():.3f} ± {TWO_SIDED * r2.std():.3f} (2.2 sd)", *means, share])
    return rows


def verdict(records: Sequence[Record]) -> list[str]:
    """Return how much of the bias the weights' noise explains, and how many weights carry it."""
    if not records:
        return []
    r2, share = (float(np.mean([record[name] for record in records])) for name in ("r2", "concentration"))
    return [
        f"A linear model of the noise on all weights explains {r2:.0%} of the variance of the bias on "
        f"held-out draws (mean of {len(records)} networks).",
        f"{share:.1%} of the weights carry 90 % of its squared coefficients.",
    ]


def draw_all(coefficients: Mapping[str, Sequence[Tensor]], folder: Path) -> list[Path]:
    """Draw one picture for each group of networks; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for group, rows in coefficients.items():
        suffix = "" if len(coefficients) == 1 else f"_{group.replace('/', '_')}"
        pictures.append(folder / f"initial_conditions{suffix}.png")
        draw(np.stack([row.numpy() for row in rows]), group, pictures[-1])
    return pictures


def draw(coefficients: Floats, title: str, path: Path) -> None:
    """Draw sorted coefficients and the singular values of the networks' directions."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    for row in coefficients:
        left.plot(np.arange(1, len(row) + 1), np.sort(np.abs(row))[::-1], linewidth=0.8)
    left.set(
        xscale="log", yscale="log", xlabel="weight, by rank", ylabel="|coefficient|",
        title="do few weights carry the bias?",
    )  # fmt: skip
    values = shared_directions(coefficients)
    right.plot(np.arange(1, len(values) + 1), values, "o-")
    right.axhline(1, color="gray", linestyle="--", linewidth=1)
    right.set(
        xlabel="number",
        ylabel="singular value",
        title="do networks share directions? (1: no)",
        ylim=(0, 1.1 * max(1, values.max())),
    )
    figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=110)
