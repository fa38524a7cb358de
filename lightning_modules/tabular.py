"""Base classifiers for debiasing: the paper's tabular network, and a residual network for images."""

from pathlib import Path
from typing import ClassVar, Literal, cast

import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics.classification import BinaryAUROC

from lightning_modules.loadable import Loadable
from sevenfold.arrays import Numbers
from sevenfold.checkpoint import Checkpoint
from sevenfold.errors import InputError
from sevenfold.export import write_program
from sevenfold.fairness.batch import AttributeBatch, InputFacts, RowBatch, complete, parts_of
from sevenfold.fairness.classifiers import Kind, OfPictures, OfRows
from sevenfold.fairness.group_confusion import GroupConfusion
from sevenfold.fairness.network import Logits
from sevenfold.fairness.objective import Objective
from sevenfold.fairness.threshold import best_threshold
from sevenfold.fairness.training import Training, loss
from sevenfold.prediction import predicting
from sevenfold.ranges import DepthOrNone, Seed, ShareBelowOne, Size


class BinaryClassifier(Loadable):
    """A binary classifier of batches x, y, a, with the threshold of best validation balanced accuracy.

    The network is built once the shape of its inputs is known: from a data module, a checkpoint, or the first
    batch of a plain loader.

    Args:
        kind: of network, and its inputs.
        training: rate and weight decay are used here; epochs and patience are the trainer's and callbacks'.
        objective: its measure is reported.
    """

    batch: ClassVar[type]
    built_from_data = True
    rates = ("training_rules", "training")
    auc: BinaryAUROC
    confusion: GroupConfusion
    threshold: Tensor

    def __init__(self, kind: Kind, training: Training, objective: Objective) -> None:
        super().__init__()
        self.kind = kind
        self.training_rules, self.objective = training, objective
        self.network: torch.nn.Module | None = None
        self.auc, self.confusion = BinaryAUROC(), GroupConfusion()
        self.register_buffer("threshold", torch.zeros((), dtype=torch.float64))
        self._validation: list[tuple[Tensor, Tensor, Tensor]] = []
        self.facts: InputFacts | None = None

    def prepare_for(self, facts: InputFacts) -> None:
        """Set the shape of inputs."""
        self.facts = facts

    def inputs(self, values: Numbers) -> Tensor:
        """Return user data as the network's inputs."""
        return self.kind.inputs(values, None if self.facts is None else self.facts.example)

    def configure_model(self) -> None:
        """Build the network once the shape of inputs is known, in a fit from its first batch."""
        if self.network is None and self.facts is None and self.fitting():
            # A plain loader says nothing of its shapes; the optimizer needs the parameters before step one.
            first = self.first_batch()
            x = parts_of(first)[0]
            self.prepare_for(InputFacts((x if isinstance(first, self.batch) else self.inputs(x))[0]))
        if self.network is None and self.facts is not None:
            self.network = Logits(self.kind.new(self.facts.example), "logit").to(self.device)

    def on_load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Build the network of the checkpoint."""
        if self.network is None and any(name.startswith("network.") for name in checkpoint["state_dict"]):
            self.prepare_for(InputFacts(self.kind.example(checkpoint["state_dict"])))
            self.configure_model()

    def convert_batch(self, batch: object) -> RowBatch | Tensor:
        """Convert a batch of a plain loader; for a prediction, its x alone."""
        is_ours = isinstance(batch, self.batch)
        if self.trainer.predicting:
            x: Tensor = parts_of(batch)[0]
            return x if is_ours else self.place(self.inputs(x))
        complete_batch = cast(RowBatch, batch) if is_ours else complete(batch, self.inputs)
        return complete_batch._replace(x=self.place(complete_batch.x))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n,)."""
        if self.network is None:
            self.prepare_for(InputFacts(x[0]))
            self.configure_model()
        assert self.network is not None
        logits: Tensor = self.network(x)
        return logits

    def decide(self, rows: Numbers) -> Tensor:
        """Return decisions (n,), 1 where the logit of a row is above the threshold.

        ``rows`` are (n, features), of NumPy, pandas, torch or lists; of an image classifier pictures.
        """
        if self.network is None:
            raise InputError(f"{type(self).__name__} has no network yet: train it, or load a trained one")
        with predicting(self):
            return self.predict_step(self.place(self.inputs(rows)), 0)

    def export(self, path: str | Path) -> Path:
        """Write the network as a program from any number of inputs (n, ...) to logits (n,)."""
        if self.network is None or self.facts is None:
            raise InputError(f"{type(self).__name__} has no network yet: train it, or load a trained one")
        return write_program(self.network, (self.facts.example[None].float(),), path, any_number=True)

    def predict_step(self, x: Tensor, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Return decisions (n,)."""
        return (self(x).double() > self.threshold).long()

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
        self._validation.append((logits, y, a))

    def on_validation_epoch_end(self) -> None:
        """Choose the threshold on all rows of all devices; log AUC and figures at it."""
        logits, y, a = (torch.cat(part) for part in zip(*self._validation, strict=True))
        self._validation.clear()
        # The threshold is chosen on the rows of all devices, so that all of them decide alike.
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
        """Return AdamW with a rate that falls on a plateau of the monitored quantity."""
        rules = self.training_rules
        optimizer = torch.optim.AdamW(self.parameters(), lr=rules.lr, weight_decay=rules.weight_decay)
        if not self.trainer.enable_validation:
            return optimizer
        mode: Literal["max", "min"] = "max" if rules.monitor == "auc" else "min"
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, patience=rules.plateau)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": plateau, "monitor": f"val/{rules.monitor}"},
        }


class TabularClassifier(BinaryClassifier):
    """The paper's network for rows.

    Args:
        width: units of a layer.
        depth: blocks that follow the first.
        dropout: share of units left out in training.
        training: rate and weight decay are used here; epochs and patience are the trainer's and callbacks'.
        objective: its measure is reported.
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
        super().__init__(
            OfRows(width=width, depth=depth, dropout=dropout, seed=seed_model), training, objective
        )


class ImageClassifier(BinaryClassifier):
    """torchvision's ResNet-18 with one logit.

    Args:
        weights: a file with the network's state (ImageNet's, say; its head is left out), or null for random.
        training: rate and weight decay are used here; epochs and patience are the trainer's and callbacks'.
        objective: its measure is reported.
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
        kind = OfPictures(weights=weights, seed=seed_model)
        super().__init__(kind, training, objective)
        self.initial = kind.network

    def export(self, path: str | Path, *, size: tuple[int, int] = (224, 224)) -> Path:
        """Write the network as a program from standardized pictures (n, 3, *size) to logits (n,)."""
        self.prepare_for(InputFacts(torch.zeros(3, *size)))
        return super().export(path)
