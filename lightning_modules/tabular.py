"""Base classifiers of the debiasing family: the paper's tabular network, a residual network for images."""

from abc import abstractmethod
from typing import ClassVar, Literal, TypedDict, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics.classification import BinaryAUROC

from sevenfold.exchange import required
from sevenfold.fairness.batch import AttributeBatch, InputFacts, RowBatch
from sevenfold.fairness.metrics import GroupConfusion
from sevenfold.fairness.network import Logits, resnet18
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.threshold import best_threshold
from sevenfold.fairness.training import Training, loss, new_network
from sevenfold.ranges import DepthOrNone, Seed, ShareBelowOne, Size


class Shape(TypedDict):
    """The network's size."""

    width: int
    depth: int
    dropout: float


class BinaryClassifier(pl.LightningModule):
    """Train a network on batches x, y, a; judge it at the threshold of best validation balanced accuracy.

    Args:
        training: rate and weight decay are used here; epochs and patience are the trainer's and callbacks'.
        objective: its measure is reported.
    """

    auc: BinaryAUROC
    confusion: GroupConfusion
    threshold: Tensor

    def __init__(self, training: Training, objective: Objective) -> None:
        super().__init__()
        self.training_rules, self.objective = training, objective
        self.network: torch.nn.Module | None = None
        self.auc, self.confusion = BinaryAUROC(), GroupConfusion()
        self.register_buffer("threshold", torch.zeros((), dtype=torch.float64))
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []
        self.facts: InputFacts | None = None

    def prepare_for(self, facts: InputFacts) -> None:
        """Take over what an input looks like."""
        self.facts = facts

    @abstractmethod
    def new(self, example: Tensor) -> torch.nn.Module:
        """Return a network for inputs like ``example``, giving (n,) or (n, 1) logits."""

    def configure_model(self) -> None:
        """Build the network once the inputs are known."""
        if self.network is None:
            self.network = Logits(self.new(required(self.facts, self).example), "logit")

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n,)."""
        assert self.network is not None
        logits: Tensor = self.network(x)
        return logits

    def training_step(self, batch: RowBatch | AttributeBatch, batch_idx: int) -> Tensor:
        """Return the cross-entropy."""
        x, y, _ = batch
        value = loss(self(x), y)
        self.log("train/loss", value, prog_bar=True, batch_size=len(y))
        return value

    def validation_step(self, batch: RowBatch | AttributeBatch, batch_idx: int) -> None:
        """Collect logits."""
        x, y, a = batch
        logits = self(x)
        self.log("val/loss", loss(logits, y), batch_size=len(y), sync_dist=True)
        self._seen.append((logits, y, a))

    def on_validation_epoch_end(self) -> None:
        """Choose the threshold on all rows of all devices; log AUC and figures at it."""
        logits, y, a = (torch.cat(part) for part in zip(*self._seen, strict=True))
        self._seen.clear()
        logits, y, a = (cast(Tensor, self.all_gather(v)).flatten() for v in (logits, y, a))
        if len(y.unique()) == 2:
            free = Objective(measure=self.objective.measure, epsilon=1e9, margin=0.0)
            best = best_threshold(logits[None], y, a, free)
            self.threshold.copy_(best.threshold[0])
            self.log("val/balanced_accuracy", best.rho[0].float())
            self.log(f"val/{self.objective.measure}", best.mu[0].float())
        self.auc(logits, y)
        self.log("val/auc", self.auc, prog_bar=True)

    def test_step(self, batch: RowBatch | AttributeBatch, batch_idx: int) -> None:
        """Count decisions at the threshold."""
        x, y, a = batch
        logits = self(x)
        self.confusion.update(logits.double() > self.threshold, y, a)
        self.auc.update(logits, y)

    def on_test_epoch_end(self) -> None:
        """Log balanced accuracy, every measure and AUC."""
        self.log_dict({f"test/{name}": value.float() for name, value in self.confusion.compute().items()})
        self.log("test/auc", self.auc.compute())
        self.confusion.reset()
        self.auc.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return Adam, its rate falling on a plateau of what is monitored."""
        rules = self.training_rules
        optimizer = torch.optim.AdamW(self.parameters(), lr=rules.lr, weight_decay=rules.weight_decay)
        mode: Literal["max", "min"] = "max" if rules.monitor == "auc" else "min"
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, patience=rules.plateau)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": plateau, "monitor": f"val/{rules.monitor}"},
        }


class TabularClassifier(BinaryClassifier):
    """The paper's network for rows.

    Args:
        width, depth, dropout: of the network; ``depth`` blocks follow the first.
        training, objective: as for :class:`BinaryClassifier`.
        seed_model: of the initial weights.
    """

    batch: ClassVar[type] = RowBatch

    def __init__(
        self,
        *,
        width: Size = 32,
        depth: DepthOrNone = 10,
        dropout: ShareBelowOne = 0.2,
        training: Training = Training(),
        objective: Objective = Objective(),
        seed_model: Seed = 0,
    ) -> None:
        super().__init__(training, objective)
        self.shape: Shape = {"width": width, "depth": depth, "dropout": dropout}
        self.seed_model = seed_model

    def new(self, example: Tensor) -> torch.nn.Module:
        """Return the network."""
        return new_network(example.shape[-1], self.seed_model, **self.shape)


class ImageClassifier(BinaryClassifier):
    """torchvision's ResNet-18 with one logit.

    Args:
        weights: a file with the network's state (ImageNet's, say; its head is left out), or null for random.
        training, objective: as for :class:`BinaryClassifier`.
        seed_model: of the initial weights.
    """

    batch: ClassVar[type] = AttributeBatch

    def __init__(
        self,
        *,
        weights: str | None = None,
        training: Training = Training(batch_size=32),
        objective: Objective = Objective(),
        seed_model: Seed = 0,
    ) -> None:
        super().__init__(training, objective)
        self.initial = resnet18(seed_model, weights)

    def new(self, example: Tensor) -> torch.nn.Module:
        """Return the network."""
        return self.initial
