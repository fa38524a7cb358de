"""Export a fitted surrogate and draw it."""

from pathlib import Path
from typing import ClassVar, cast

import pytorch_lightning as pl

from sevenfold.nas.x11.export import save
from sevenfold.nas.x11.figures import draw_curves, draw_spectrum, draw_tau
from sevenfold.nas.x11.parts import JudgedPart
from sevenfold.nas.x11.report import Judgement
from sevenfold.nas.x11.surrogate import Surrogate
from sevenfold.report import Section

COLUMNS = ("avg_r2", "final_r2", "avg_tau", "final_tau", "alive_avg_r2", "alive_final_r2", "alive_avg_tau",
           "alive_final_tau", "top_bias", "leak")  # fmt: skip


class X11Report(pl.Callback):
    """Write ``surrogate/`` after a fit; add a table over the test parts to the report; draw into ``images/``.

    ``x11_curves.png``: real and predicted curves with the 10 % to 90 % band of noisy draws;
    ``x11_spectrum.png``: explained variance by component; ``x11_tau.png``: rank correlation by epoch.
    """

    needs: ClassVar[type] = Judgement

    def __init__(self) -> None:
        self.judged: list[tuple[str, Judgement]] = []
        self._rows: list[list[str]] = []

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Export."""
        if trainer.is_global_zero:
            save(cast(Surrogate, pl_module.surrogate), Path(trainer.default_root_dir) / "surrogate")

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: object, outputs: object, batch: JudgedPart, *_: int
    ) -> None:
        """Keep what is drawn."""
        assert isinstance(outputs, Judgement)
        self.judged.append((batch.name, outputs))

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw, and fill the table."""
        if not trainer.is_global_zero or not self.judged:
            return
        rows = [["", *COLUMNS, "seconds"]]
        for name, judgement in self.judged:
            values = [trainer.callback_metrics.get(f"{name}/{column}") for column in COLUMNS]
            rows.append([name, *("-" if v is None else f"{float(v):.3f}" for v in values)])
            rows[-1].append(f"{judgement.seconds:.1f}")
        self._rows = rows
        folder = Path(trainer.default_root_dir) / "images"
        folder.mkdir(exist_ok=True)
        first = self.judged[0][1].arrays
        draw_curves(first, folder / "x11_curves.png")
        draw_tau(self.judged, folder / "x11_tau.png")
        if len(first["energy"]):
            draw_spectrum(first["energy"], folder / "x11_spectrum.png")
        self.judged = []

    def sections(self) -> list[Section]:
        """Return the table over the test parts, for the report."""
        return [Section("Scores of the test parts", rows=self._rows)] if self._rows else []
