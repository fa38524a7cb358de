"""Steps that cannot be taken are left out; a training that diverges goes back to its last good state."""

import logging

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from pytorch_lightning.strategies import FSDPStrategy

from sevenfold.checkpoint import Checkpoint
from sevenfold.loss_watch import Diverged, LossWatch
from sevenfold.ranges import Count, Growth, NonNegativeInt
from sevenfold.rollback import GoodState, Stateful, infinite

logger = logging.getLogger(__name__)


class Divergence(pl.Callback):
    """Leaves out steps that are not finite, rolls a diverged training back, and ends it if that is no help.

    A training has diverged after three steps in a row that are not finite, ``patience`` steps with an
    exploded loss, or two validations in a row worse than the estimate zero after it was better.

    Args:
        rollbacks: returns to the last good state, at half the learning rate, after which a training that
            diverges again is ended; 0 ends it at once.
        factor: a loss above this multiple of its running median counts as exploded.
        patience: steps in a row with an exploded loss (or, where losses are scaled, one that is not finite).
        every: steps between two looks at the loss, so that an accelerator does not wait after each.
        window: losses of which the median is taken.
        keep_every: steps between two copies of the state.
    """

    def __init__(
        self,
        *,
        rollbacks: NonNegativeInt = 2,
        factor: Growth = 20.0,
        patience: Count = 50,
        every: Count = 10,
        window: Count = 200,
        keep_every: Count = 200,
    ) -> None:
        self.most, self.every, self.keep_every = rollbacks, every, keep_every
        self._watch, self._good = LossWatch(factor, patience, window), GoodState()
        self._recent: list[torch.Tensor] = []
        self._left_out, self._kept_at = torch.tensor(False), 0
        self.counts = {"skipped": 0, "rollbacks": 0}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the state."""
        self._keep(trainer, pl_module)

    def on_before_backward(self, trainer: pl.Trainer, module: pl.LightningModule, loss: torch.Tensor) -> None:
        """Note whether the loss is finite."""
        self._left_out = ~loss.detach().isfinite().all()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        """Leave the step out where loss or gradient is not finite."""
        gradients = [part.grad for part in pl_module.parameters() if part.grad is not None]
        if _scaled(trainer) or not gradients:
            return  # whoever scales losses leaves such steps out already
        bad = self._left_out | ~torch.nn.utils.get_total_norm(gradients).isfinite()
        if trainer.strategy.reduce_boolean_decision(bool(bad), all=False):
            self._left_out = torch.tensor(True)
            self.counts["skipped"] += 1
            for part in pl_module.parameters():
                part.grad = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Look at the losses of the last ``every`` steps."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, torch.Tensor):
            self._recent.append(loss.detach().flatten() * torch.where(self._left_out, torch.nan, 1.0))
        if (batch_idx + 1) % self.every and not trainer.is_last_batch:
            return
        losses, self._recent = [value for part in self._recent for value in part.tolist()], []
        self._judge(trainer, module, self._watch.reason(losses, scaled=_scaled(trainer)))
        if trainer.global_step - self._kept_at >= self.keep_every and self._watch.calm:
            self._keep(trainer, module)
        module.log_dict(self.results())

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare what was measured with the estimate zero."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
            self._judge(trainer, pl_module, self._watch.validation_reason(metrics))

    def _keep(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # The parts of a sharded state cannot be copied one by one.
        if not isinstance(trainer.strategy, FSDPStrategy) and infinite(module) is None:
            self._good.keep(_parts(trainer, module))
            self._kept_at = trainer.global_step

    def _judge(self, trainer: pl.Trainer, module: pl.LightningModule, cause: str | None) -> None:
        """Return to the good state, or end the training, where there is a cause on any device."""
        if not trainer.strategy.reduce_boolean_decision(cause is not None, all=False):
            return
        step, cause = trainer.global_step, cause or "on another device"
        if self.counts["rollbacks"] >= self.most or not self._good:
            raise Diverged(
                f"training diverged at step {step}: {cause}", step=step, cause=cause, **self.counts
            )
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        self._good.restore(_parts(trainer, module), schedulers)
        self._watch.forgive()
        self.counts["rollbacks"] += 1
        logger.warning("step %d: %s; back to the last good state, half the learning rate", step, cause)

    def results(self) -> dict[str, float]:
        """Return how many steps were left out and how often the training was rolled back, if at all."""
        return {f"train/{name}": float(n) for name, n in self.counts.items() if any(self.counts.values())}

    def state_dict(self) -> dict[str, int]:
        """Return the counts, for checkpoints."""
        return dict(self.counts)

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on counting."""
        self.counts |= state_dict

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, _: Checkpoint) -> None:
        """Refuse to save weights that are not finite."""
        if (name := infinite(module)) is not None:
            step, cause = trainer.global_step, f"'{name}' is not finite"
            raise Diverged(
                f"training diverged at step {step}: {cause}", step=step, cause=cause, **self.counts
            )


def _parts(trainer: pl.Trainer, module: pl.LightningModule) -> list[Stateful]:
    averages = [callback for callback in trainer.callbacks if isinstance(callback, WeightAveraging)]
    return [module, *trainer.optimizers, *(callback._average_model for callback in averages)]


def _scaled(trainer: pl.Trainer) -> bool:
    return str(trainer.precision) == "16-mixed"
