"""Stopping a training whose loss or weights are no longer finite."""

import pytorch_lightning as pl
import torch

from sevenfold.checkpoint import Checkpoint
from sevenfold.loss_watch import Diverged, LossWatch
from sevenfold.ranges import Count, Growth, NonNegativeInt


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
        self.every, self._recent = every, [torch.zeros(0)]
        self._watch = LossWatch(factor, patience, window)

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
            self._recent.append(loss.detach().flatten())
        if (batch_idx + 1) % self.every and not trainer.is_last_batch:
            return
        losses = torch.cat([part.to(self._recent[-1].device) for part in self._recent]).tolist()
        reason = self._watch.reason(losses, scaled=str(trainer.precision) == "16-mixed")
        del self._recent[1:]
        if trainer.strategy.reduce_boolean_decision(reason is not None, all=False):
            raise Diverged(
                f"training diverged at step {trainer.global_step}: {reason or 'on another device'}"
            )

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint
    ) -> None:
        """Refuse to save weights that are not finite."""
        for name, value in pl_module.named_parameters():
            if not bool(value.detach().isfinite().all()):
                raise Diverged(f"training diverged at step {trainer.global_step}: '{name}' is not finite")
