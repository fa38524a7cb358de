"""Table and picture of models of noise."""

from pathlib import Path
from typing import ClassVar

import pytorch_lightning as pl

from sevenfold.nas.x11.figures import draw_noise
from sevenfold.nas.x11.noise.judge import NoiseJudgement
from sevenfold.report import Section

COLUMNS = ("std_ratio", "autocorrelation", "real_autocorrelation", "spike_share", "real_spike_share",
           "paper_spike_share", "avg_kl", "final_kl", "paper_kl")  # fmt: skip


class NoiseReport(pl.Callback):
    """Add one row for each model to the report; draw ``images/x11_noise.png``."""

    needs: ClassVar[type] = NoiseJudgement

    def __init__(self) -> None:
        self.judged: dict[str, NoiseJudgement] = {}
        self._rows: list[list[str]] = []

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: object, outputs: object, *_: object) -> None:
        """Keep what is drawn."""
        assert isinstance(outputs, dict)
        self.judged = outputs

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw, and fill the table."""
        if not trainer.is_global_zero:
            return
        self._rows = [
            ["noise", *COLUMNS],
            *(
                [label, *(f"{one.scores[name]:.3f}" for name in COLUMNS)]
                for label, one in self.judged.items()
            ),
        ]
        folder = Path(trainer.default_root_dir)
        (folder / "images").mkdir(exist_ok=True)
        draw_noise(self.judged, folder / "images/x11_noise.png")

    def sections(self) -> list[Section]:
        """Return the table of models, for the report."""
        return [Section("Models of noise", rows=self._rows)] if self._rows else []
