"""The base classifier of the debiasing family: the paper's tabular network."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics.classification import BinaryAUROC

from sevenfold.config import ConfigError
from sevenfold.fairness.metrics import GroupConfusion
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.threshold import best_threshold
from sevenfold.fairness.training import Training, loss, new_network


class TabularClassifier(pl.LightningModule):
    """Train the network on rows x, y, a (``datamodules.fairness.FairnessRows``).

    Args:
        width, depth, dropout: of the network; ``depth`` blocks follow the first.
        training: rate and weight decay are used here; epochs and patience are the trainer's and callbacks'.
        objective: what the validation rows are judged by; the threshold of best balanced accuracy there is
            the one used on the test rows.
        seed_model: of the initial weights.
    """

    def __init__(
        self,
        *,
        width: int = 32,
        depth: int = 10,
        dropout: float = 0.2,
        training: Training = Training(),
        objective: Objective = Objective(),
        seed_model: int = 0,
    ) -> None:
        super().__init__()
        if width < 1 or depth < 0 or not 0 <= dropout < 1:
            raise ConfigError(
                "width", f"needs width >= 1, depth >= 0, dropout in [0, 1), got {width}, {depth}"
            )
        self.shape: dict[str, Any] = {"width": width, "depth": depth, "dropout": dropout}
        self.training_rules, self.objective, self.seed_model = training, objective, seed_model
        self.network: torch.nn.Module | None = None
        self.auc, self.confusion = BinaryAUROC(), GroupConfusion()
        self.register_buffer("threshold", torch.zeros((), dtype=torch.float64))
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def configure_model(self) -> None:
        """Build the network once the number of features is known."""
        if self.network is None:
            features = self.trainer.datamodule.split.train.x.shape[1]
            self.network = new_network(features, self.seed_model, **self.shape)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return the cross-entropy."""
        x, y, _ = batch
        value = loss(self.network(x)[:, 0], y)
        self.log("train/loss", value, prog_bar=True, batch_size=len(y))
        return value

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Collect logits."""
        x, y, a = batch
        logits = self.network(x)[:, 0]
        self.log("val/loss", loss(logits, y), batch_size=len(y), sync_dist=True)
        self._seen.append((logits, y, a))

    def on_validation_epoch_end(self) -> None:
        """Choose the threshold on all rows of all devices; log AUC and figures at it."""
        logits, y, a = (torch.cat(part) for part in zip(*self._seen, strict=True))
        self._seen.clear()
        logits, y, a = (self.all_gather(v).flatten() for v in (logits, y, a))
        if len(y.unique()) == 2:
            free = Objective(measure=self.objective.measure, epsilon=1e9, margin=0.0)
            best = best_threshold(logits[None], y, a, free)
            self.threshold.copy_(best.threshold[0])
            self.log("val/balanced_accuracy", best.rho[0].float())
            self.log(f"val/{self.objective.measure}", best.mu[0].float())
        self.auc(logits, y)
        self.log("val/auc", self.auc, prog_bar=True)

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Count decisions at the threshold."""
        x, y, a = batch
        logits = self.network(x)[:, 0]
        self.confusion.update(logits.double() > self.threshold, y, a)
        self.auc.update(logits, y)

    def on_test_epoch_end(self) -> None:
        """Log balanced accuracy, every measure and AUC."""
        self.log_dict({f"test/{name}": value.float() for name, value in self.confusion.compute().items()})
        self.log("test/auc", self.auc.compute())
        self.confusion.reset()
        self.auc.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return Adam, its rate falling on a plateau of the validation loss."""
        rules = self.training_rules
        optimizer = torch.optim.AdamW(self.parameters(), lr=rules.lr, weight_decay=rules.weight_decay)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=rules.plateau)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val/loss"}}
