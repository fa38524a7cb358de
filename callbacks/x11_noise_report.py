"""Table and picture of models of noise."""

from pathlib import Path
from typing import ClassVar

import pytorch_lightning as pl

from sevenfold.files import write_text
from sevenfold.nas.x11.figures import draw_noise
from sevenfold.nas.x11.noise.judge import NoiseJudgement
from sevenfold.report import aligned

COLUMNS = ("std_ratio", "autocorrelation", "real_autocorrelation", "spike_share", "real_spike_share",
           "paper_spike_share", "avg_kl", "final_kl", "paper_kl")  # fmt: skip


class NoiseReport(pl.Callback):
    """Print one row for each model, into ``table.txt`` too; draw ``images/x11_noise.png``."""

    needs: ClassVar[type] = NoiseJudgement

    def __init__(self) -> None:
        self.judged: dict[str, NoiseJudgement] = {}

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what is drawn."""
        assert isinstance(outputs, dict)
        self.judged = outputs

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print and draw."""
        if not trainer.is_global_zero:
            return
        rows = [["noise", *COLUMNS]]
        rows += [
            [label, *(f"{one.scores[name]:.3f}" for name in COLUMNS)] for label, one in self.judged.items()
        ]
        folder = Path(trainer.default_root_dir)
        write_text(folder / "table.txt", aligned(rows) + "\n")
        trainer.print(f"\n{aligned(rows)}")
        (folder / "images").mkdir(exist_ok=True)
        draw_noise(self.judged, folder / "images/x11_noise.png")
