"""What samples of differentiable representations came to: a table, a contact sheet, a page."""

import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from callbacks.records import RecordsWriter, records_folder
from sevenfold.diffreps.pictures import contact_sheet
from sevenfold.diffreps.summary import (
    EXPLANATION,
    by_group,
    group_scores,
    load_group,
    real_scores,
    table,
)  # fmt: skip
from sevenfold.files import write_text
from sevenfold.report import aligned, page, read_pictures

REAL = "real images"


class SampleReport(RecordsWriter):
    """Write records, ``table.txt``, ``sections.json``, ``images/contact.png`` and ``report.html``.

    ``shown``: how many samples of each group the contact sheet has.
    """

    def __init__(self, *, shown: int = 16) -> None:
        super().__init__()
        self.shown = shown
        self._scores: dict[str, dict[str, float]] = {}

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Merge the records; write everything on rank zero."""
        super().on_predict_end(trainer, pl_module)
        if not trainer.is_global_zero or not self._records:
            return
        folder = records_folder(trainer).parent
        recorded, data = by_group(self._records), trainer.datamodule
        order = [f"{setting.label}/{label}" for setting in data.settings for label in data.methods]
        groups = {g: (recorded[g], load_group(folder / "samples", g)) for g in order if g in recorded}
        real = _real(folder / "samples")
        self._scores = {group: group_scores(rows, own, real) for group, (rows, own) in groups.items()}
        listed = dict(self._scores) if real is None else {REAL: real_scores(real), **self._scores}
        rows = table(listed)
        (folder / "images").mkdir(exist_ok=True)
        sheet = {} if real is None else {REAL: real["images"][: self.shown]}
        sheet |= {group: own["pictures"][: self.shown] for group, (_, own) in groups.items()}
        bounds = data.prior.range or (-1.0, 1.0)
        contact_sheet(sheet, bounds, folder / "images/contact.png")
        told: list[dict[str, Any]] = [{"title": "Samples", "text": EXPLANATION, "rows": rows}]
        write_text(folder / "sections.json", json.dumps(told, indent=1) + "\n")
        write_text(folder / "table.txt", aligned(rows) + "\n")
        write_text(folder / "report.html", page("Samples", told, pictures=read_pictures(folder)))
        trainer.print(f"\n{aligned(rows)}\n\nto see: {folder / 'images/contact.png'}")

    def results(self) -> dict[str, float]:
        """Return every group's figures but seconds and memory, which no two runs share."""
        return {
            f"{group}/{name}": value
            for group, own in self._scores.items()
            for name, value in own.items()
            if name not in ("seconds", "memory")
        }


def _real(folder: Path) -> dict[str, Any] | None:
    path = folder / "real.pt"
    return torch.load(path, weights_only=True) if path.is_file() else None
