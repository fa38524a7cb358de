"""The report of the study of initial conditions: R^2, whether few weights carry the bias, shared
directions.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from callbacks.records import RecordsWriter, records_folder
from sevenfold.fairness.initial import shared_directions
from sevenfold.files import write_text
from sevenfold.report import aligned, page, read_pictures


class InitialReport(RecordsWriter):
    """Write records, ``table.txt``, ``sections.json``, ``images/initial_conditions.png`` and
    ``report.html``.
    """

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Merge the records; write everything on rank zero."""
        super().on_predict_end(trainer, pl_module)
        if not trainer.is_global_zero or not self._records:
            return
        folder = records_folder(trainer).parent
        paths = [folder / f"coefficients/{r['key'].replace('/', '_')}.pt" for r in self._records]
        coefficients = np.stack([torch.load(path, weights_only=True).numpy() for path in paths])
        told = section(self._records)
        write_text(folder / "sections.json", json.dumps([told], indent=1) + "\n")
        text = "\n".join([told["title"], *told["text"], aligned(told["rows"])])
        write_text(folder / "table.txt", text + "\n")
        (folder / "images").mkdir(exist_ok=True)
        draw(coefficients, folder / "images/initial_conditions.png")
        write_text(folder / "report.html", page("Initial conditions", [told], pictures=read_pictures(folder)))
        trainer.print(f"\n{text}")


def section(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the table over networks."""
    rows = [["network", "R2 on held-out draws", "soft bias, mean of draws", "spread", "weights with 90 %"]]
    for r in records:
        rows.append([str(r["seed"]), *(f"{r[name]:.3f}" for name in ("r2", "soft_bias", "spread")),
                     f"{100 * r['concentration']:.1f} %"])  # fmt: skip
    r2 = np.array([r["r2"] for r in records])
    text = [
        f"Noise on all weights at once; a ridge regression from the noise to the bias explains R2 = "
        f"{r2.mean():.3f} "
        f"(2.2 standard deviations: {2.2 * r2.std():.3f}, {len(r2)} networks) of its variance on draws "
        f"held out. "
        "The last column is the share of weights that carries 90 % of the squared coefficients."
    ]
    return {"title": "How the bias depends on the weights", "text": text, "rows": rows}


def draw(coefficients: Any, path: Path) -> None:
    """Draw sorted coefficients and the singular values of the networks' directions."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for row in coefficients:
        left.plot(np.arange(1, len(row) + 1), np.sort(np.abs(row))[::-1], linewidth=0.8)
    left.set(
        xscale="log", yscale="log", xlabel="weight, by rank", ylabel="|coefficient|", title="few weights?"
    )
    values = shared_directions(coefficients)
    right.plot(np.arange(1, len(values) + 1), values, "o-")
    right.axhline(1, color="gray", linestyle="--", linewidth=1)
    right.set(
        xlabel="number",
        ylabel="singular value",
        title="shared directions? (1: unrelated networks)",
        ylim=(0, None),
    )
    figure.savefig(path, dpi=110)
