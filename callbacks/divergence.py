"""Stopping a training whose loss or weights are no longer finite."""

import math
import statistics
from collections import deque

import pytorch_lightning as pl
import torch

from sevenfold.checkpoint import Checkpoint
from sevenfold.errors import InputError
from sevenfold.ranges import Count, Growth, NonNegativeInt


class Diverged(InputError):
    """A training that cannot recover: the loss or the weights are not finite, or the loss has exploded."""

    saves = False  # the last checkpoint is better than the present state


class Divergence(pl.Callback):
    """Ends a training that has diverged, before anything that is not finite is saved.

    Args:
        factor: a loss above this multiple of its running median counts as exploded.
        patience: steps in a row with an exploded loss (or, where losses are scaled, one that is not finite).
        every: steps between two looks at the loss, so that an accelerator does not wait after each.
        window: losses of which the median is taken.
    """

    def __init__(
        self, *, factor: Growth = 100.0, patience: NonNegativeInt = 20, every: Count = 10, window: Count = 200
    ) -> None:
        self.factor, self.patience, self.every = factor, patience, every
        self._recent: list[torch.Tensor] = []
        self._losses: deque[float] = deque(maxlen=window)
        self._exploded = self._infinite = 0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Look at the losses of the last ``every`` steps."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, torch.Tensor):
            self._recent.append(loss.detach())
        if (batch_idx + 1) % self.every and not trainer.is_last_batch:
            return
        reason = self._reason(scaled=str(trainer.precision) == "16-mixed")
        self._recent.clear()
        if trainer.strategy.reduce_boolean_decision(reason is not None, all=False):
            raise Diverged(
                f"training diverged at step {trainer.global_step}: {reason or 'on another device'}"
            )

    def _reason(self, scaled: bool) -> str | None:
        """Return why the recent losses mean divergence; None if they do not."""
        for value in torch.stack(self._recent).flatten().tolist() if self._recent else []:
            self._infinite = 0 if math.isfinite(value) else self._infinite + 1
            if self._infinite > (self.patience if scaled else 0):
                return f"the loss is {value}"
            median = statistics.median(map(abs, self._losses)) if self._losses else math.inf
            self._exploded = self._exploded + 1 if abs(value) > self.factor * max(median, 1e-12) else 0
            if self._exploded >= self.patience:
                return f"the loss is {value:.3g}, {self.factor:g} times its running median {median:.3g}"
            if not self._exploded and math.isfinite(value):
                self._losses.append(value)
        return None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint
    ) -> None:
        """Refuse to save weights that are not finite."""
        for name, value in pl_module.named_parameters():
            if not bool(value.detach().isfinite().all()):
                raise Diverged(f"training diverged at step {trainer.global_step}: '{name}' is not finite")
