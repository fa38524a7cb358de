"""Progress of a run: bars in a terminal, lines where the output goes elsewhere."""

import sys

import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar

from sevenfold.progress import ProgressLines
from sevenfold.ranges import NonNegativeInt


class Progress(TQDMProgressBar):
    """Bars with the remaining time; in a file or a pipe a line at the end of each, and one a minute before.

    Args:
        refresh_rate: batches between two updates of a bar; 0: no bars.
    """

    def __init__(self, *, refresh_rate: NonNegativeInt = 1) -> None:
        super().__init__(refresh_rate=refresh_rate)
        self.lines: ProgressLines | None = None
        self.count = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Switch the bars off where no terminal shows them."""
        super().setup(trainer, pl_module, stage)
        if not sys.stdout.isatty():
            self.disable()

    def _start(self, trainer: pl.Trainer, name: str) -> None:
        shown = trainer.is_global_zero and not sys.stdout.isatty()
        self.lines, self.count = ProgressLines(name) if shown else None, 0

    def _advance(self, total: float, *, last: bool = True) -> None:
        self.count += 1
        if self.lines is not None and self.count == total and last:
            self.lines.end(self.count, {})
        elif self.lines is not None:
            self.lines.advance(self.count, total)

    def on_train_epoch_start(self, trainer, *arguments):
        """Begin the stage."""
        super().on_train_epoch_start(trainer, *arguments)
        self._start(trainer, f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}")

    def on_train_batch_end(self, *arguments):
        """Count the batch."""
        super().on_train_batch_end(*arguments)
        self._advance(self.trainer.num_training_batches, last=False)

    def on_train_epoch_end(self, trainer, pl_module):
        """Complete the stage."""
        super().on_train_epoch_end(trainer, pl_module)
        if self.lines is not None:
            values = self.get_metrics(trainer, pl_module)
            self.lines.end(self.count, {name: value for name, value in values.items() if name != "v_num"})

    def on_test_start(self, trainer, pl_module):
        """Begin the stage."""
        super().on_test_start(trainer, pl_module)
        self._start(trainer, "test")

    def on_test_batch_end(self, *arguments):
        """Count the batch."""
        super().on_test_batch_end(*arguments)
        self._advance(self.total_test_batches_current_dataloader)

    def on_predict_start(self, trainer, pl_module):
        """Begin the stage."""
        super().on_predict_start(trainer, pl_module)
        self._start(trainer, "predict")

    def on_predict_batch_end(self, *arguments):
        """Count the batch."""
        super().on_predict_batch_end(*arguments)
        self._advance(self.total_predict_batches_current_dataloader)
