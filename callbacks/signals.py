"""Ending on a signal: a checkpoint at the next safe point, then an exit status that says so."""

import math
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytorch_lightning as pl

from sevenfold.interruption import Interrupted

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
Handler = Callable[[int, FrameType | None], object] | int | None
EVERY = 10  # batches between two questions whether another rank has had a signal


class StopOnSignal(pl.Callback):
    """Keeps ``checkpoints/last.ckpt``: after every epoch, every ``minutes`` of training, and on a signal.

    After SIGTERM, SIGINT, SIGUSR1 or SIGUSR2 a training saves at the end of the batch and raises
    :class:`Interrupted`; evaluation ends after the batch; a study ends after the piece in hand (it looks at
    ``number``). Under SLURM the job is then requeued after SIGUSR1. A second SIGINT ends at once. An error
    saves too, where no other rank would be waited for. It comes after callbacks that average weights or look
    for divergence at the end of a batch; :class:`SaveAtEnd` comes before them.

    Args:
        minutes: between two checkpoints in the middle of an epoch.
        limit: seconds after which a training ends as after a signal.
    """

    def __init__(self, *, minutes: float, limit: float = math.inf) -> None:
        self.limit = self.ends = limit
        self.path, self.minutes = Path("checkpoints/last.ckpt"), minutes
        self.number: int | None = None
        self._saved = time.monotonic()
        self._launcher: object = None
        self._before: dict[signal.Signals, Handler] = {}

    def requested(self) -> bool:
        """Tell whether a signal requests the end of the run."""
        return self.number is not None

    def listen(self, trainer: pl.Trainer, *_: object) -> None:
        """Take the signals over from Lightning, whose handlers talk to other ranks from within."""
        self._launcher = trainer.strategy.launcher
        self.path = Path(trainer.default_root_dir) / "checkpoints/last.ckpt"
        for number in SIGNALS:
            before = signal.signal(number, self._receive)
            self._before.setdefault(number, before)

    def on_train_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Listen, and start the clock of the training."""
        self.listen(trainer)
        self.ends = time.monotonic() + self.limit

    on_sanity_check_start = on_validation_start = on_test_start = on_predict_start = listen

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Listen while data is opened; Lightning takes SIGTERM back between this and the start."""
        self.listen(trainer)

    def leave(self) -> None:
        """Give the signals back to whoever had them before the run."""
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.number is None and hasattr(self._launcher, "kill"):
            self._launcher.kill(number)  # the ranks that this process started
        self.number = self.number or number

    def _asked(self, trainer: pl.Trainer, batch_idx: int) -> tuple[bool, bool]:
        """Return whether to end and whether to save, the same on all ranks."""
        due = time.monotonic() - self._saved > 60 * self.minutes
        over = self.number is not None or time.monotonic() > self.ends
        if trainer.world_size == 1:
            return over, due
        if batch_idx % EVERY:
            return False, False
        end = trainer.strategy.reduce_boolean_decision(over, all=False)
        return end, trainer.strategy.reduce_boolean_decision(due, all=False)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Save, and end on request, after a whole step; after an epoch's last, validation comes first."""
        last = trainer.is_last_batch
        if last or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        end, due = self._asked(trainer, batch_idx)
        if end or due:
            self.save(trainer)
        if end:
            self._end(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save between two epochs, with the results of validation; end on request."""
        if trainer.current_epoch > 0:
            _begin_epoch(trainer)
            self.save(trainer)
        if self._asked(trainer, 0)[0]:
            self._end(trainer)

    def _end_if_asked(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        # A training that validates ends when it has saved what this brings.
        if self.number is not None and trainer.world_size == 1 and trainer.state.fn != "fit":
            self._end(trainer)

    on_test_batch_end = on_validation_batch_end = _end_if_asked

    def on_predict_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """End before another batch, except in a study, which still collects running pieces."""
        if not hasattr(pl_module, "stopping"):
            self._end_if_asked(trainer, pl_module)

    def save(self, trainer: pl.Trainer) -> None:
        """Write the checkpoint."""
        if not trainer.fast_dev_run:
            trainer.save_checkpoint(self.path)
        self._saved = time.monotonic()

    def _end(self, trainer: pl.Trainer) -> None:
        out_of_time = self.number is None and time.monotonic() > self.ends
        raise Interrupted(None if out_of_time else self.number or signal.SIGTERM)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Save what a failed training had reached, unless other ranks would be waited for."""
        resumable = trainer.training and trainer.global_step > 0 and trainer.world_size == 1
        if resumable and isinstance(exception, Exception) and getattr(exception, "saves", True):
            self.save(trainer)


class SaveAtEnd(pl.Callback):
    """Saves the end of a training, before averaged weights take the place of those that were trained."""

    def __init__(self, stop: StopOnSignal) -> None:
        self.stop = stop

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save."""
        self.stop.save(trainer)


def _begin_epoch(trainer: pl.Trainer) -> None:
    """Count batches from zero, as Lightning does a moment later.

    A checkpoint that still counts those of the last epoch would make Lightning pass over the new one.
    """
    loop = trainer.fit_loop.epoch_loop
    for progress in (
        loop.batch_progress,
        loop.scheduler_progress,
        loop.automatic_optimization.optim_progress,
    ):
        progress.reset_on_run()
    loop.val_loop.batch_progress.total.reset()
