"""What debiasing came to: tables, a picture, a page for readers who are no specialists."""

import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from callbacks.records import RecordsWriter, records_folder
from sevenfold.fairness.summary import groups, sections
from sevenfold.files import write_text
from sevenfold.report import aligned, page, read_pictures


class FairnessReport(RecordsWriter):
    """Write records, ``table.txt``, ``sections.json``, ``images/pareto_*.png`` and ``report.html``."""

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Merge the records; write everything on rank zero."""
        super().on_predict_end(trainer, pl_module)
        if not trainer.is_global_zero or not self._records:
            return
        folder = records_folder(trainer).parent
        told = sections(self._records)
        write_text(folder / "sections.json", json.dumps(told, indent=1) + "\n")
        text = "\n\n".join(_plain(section) for section in told)
        write_text(folder / "table.txt", text + "\n")
        (folder / "images").mkdir(exist_ok=True)
        for setting, records in groups(self._records).items():
            draw(records, setting, folder / f"images/pareto_{setting.replace('/', '_')}.png")
        write_text(folder / "report.html", page("Debiasing report", told, pictures=read_pictures(folder)))
        trainer.print(f"\n{text}\n\nto read: {folder / 'report.html'}")

    def results(self) -> dict[str, float]:
        """Return means and spreads of the headline figures."""
        kept = ("balanced_accuracy", "mu", "abs_mu", "within", "auc", "fair_label_balanced_accuracy")
        return {name: value for name, value in super().results().items() if name.split("/")[-2] in kept}


def _plain(section: dict[str, Any]) -> str:
    table = [aligned(section["rows"])] if section["rows"] else []
    return "\n".join([section["title"], *section["text"], *table])


def draw(records: dict[str, list[dict[str, Any]]], title: str, path: Path) -> None:
    """Draw test balanced accuracy against |bias|: every seed small, means large, the bound and the
    constant.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    axes, colors = figure.subplots(), colormaps["tab20"]
    for i, (label, own) in enumerate(records.items()):
        bias, accuracy = ([record[name] for record in own] for name in ("abs_mu", "balanced_accuracy"))
        marker = "s" if own[0]["uses_attribute"] else "o"
        axes.scatter(bias, accuracy, s=10, color=colors(i % 20), alpha=0.4, marker=marker, linewidths=0)
        middle = sum(bias) / len(bias), sum(accuracy) / len(accuracy)
        axes.scatter(*middle, s=70, color=colors(i % 20), label=label, marker=marker, edgecolors="black")
    epsilon = float(title.rpartition("@")[2])
    axes.axvspan(0, epsilon, color="tab:green", alpha=0.08)
    axes.axhline(0.5, color="gray", linestyle="--", linewidth=1)
    axes.annotate("everybody treated alike", (axes.get_xlim()[1], 0.5), ha="right", va="bottom", fontsize=7)
    axes.set(
        xlabel="|bias| on test (shaded: within the bound)", ylabel="balanced accuracy on test", title=title
    )
    axes.set_xlim(left=0)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), title="squares use the attribute",
                title_fontsize=7)  # fmt: skip
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
