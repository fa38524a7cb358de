"""Train predictors of architectures' accuracy."""

from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from lightning_modules.loadable import Loadable
from sevenfold.config import ConfigError, Node, build
from sevenfold.exchange import required
from sevenfold.export import write_program
from sevenfold.nas.predictors import PREDICTORS
from sevenfold.nas.predictors.base import EnsembleMean
from sevenfold.nas.predictors.batch import CellBatch, CellFacts, complete
from sevenfold.nas.predictors.sample import encode
from sevenfold.nas.predictors.scores import score
from sevenfold.nas.predictors.training import (
    Training,
    initial_generators,
    make_optimizer,
    objective,
    rate_factor,
)
from sevenfold.nas.predictors.training import predict as ensemble_mean
from sevenfold.nas.spaces import SPACES
from sevenfold.nas.spaces.cells import Cells, as_cells, cells_of
from sevenfold.prediction import predicting
from sevenfold.ranges import Count, Seed, Size
from sevenfold.seeding import numpy_generator
from sevenfold.tables import OneOf

NETWORK = {"name": "mlp"}
NB201 = {"name": "nb201"}


class NASPredictor(Loadable):
    """Predict the final error (100 - accuracy) of architectures from an encoding.

    Args:
        network: of the predictor.
        encoding: of architectures.
        space: the search space.
        training: loss and optimizer; the trainer decides how many epochs.
        members: networks in the ensemble, trained side by side; the prediction is their mean.
        k: of precision at k, the share of the ``k`` cells predicted best that are among the ``k`` best.
        seed: of the initial weights.
    """

    batch: ClassVar[type] = CellBatch
    rates = ("rules", "training")

    def __init__(
        self,
        *,
        network: Annotated[Node, OneOf("sevenfold.nas.predictors:PREDICTORS")] = NETWORK,
        encoding: Annotated[str, OneOf("sevenfold.nas.encodings:ENCODINGS")] = "trunc_path",
        space: Annotated[Node, OneOf("sevenfold.nas.spaces:SPACES")] = NB201,
        training: Training = Training(),
        members: Count = 1,
        k: Size = 100,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.space, self.encoding = build(SPACES, space, "space"), encoding
        self.rules, self.members, self.k = training, members, k
        example = encode(self.space, self.space.sample(numpy_generator(0, "example"), 1), encoding)
        self.predictor = build(PREDICTORS, network, "network", features=example.shape[1], copies=members)
        self.predictor.initialize(initial_generators([seed], members=members))
        self.facts: CellFacts | None = None

    def prepare_for(self, facts: CellFacts) -> None:
        """Take over the targets of the training cells."""
        self.facts = facts

    def setup(self, stage: str) -> None:
        """Take the unit of the targets from the training cells, where that is wanted."""
        if stage == "fit" and self.rules.standardize:
            targets = required(self.facts, self).targets.to(self.device)
            self.predictor.standardize(targets.expand(self.members, -1))

    def convert_batch(self, batch: object) -> object:
        """Complete a batch of a plain loader: ``(archs, targets)``, or a mapping with these keys."""
        if self.trainer.predicting:
            return batch
        return complete(batch, self.space, members=self.members if self.trainer.training else None)

    def predict(self, cells: Cells) -> Tensor:
        """Return the predicted errors (n,) of cells: rows of codes, or strings of the space."""
        archs = torch.as_tensor(as_cells(self.space, cells).astype(np.int64))
        with predicting(self):
            return ensemble_mean(self.predictor, self._encoded(archs), members=self.members)[0]

    def forward(self, x: Tensor) -> Tensor:
        """Return the predicted errors (n,) of encoded cells (n, features)."""
        mean: Tensor = EnsembleMean(self.predictor)(x)
        return mean

    def export(self, path: str | Path) -> Path:
        """Write :meth:`forward` as a program, for any number of encoded cells."""
        x = encode(self.space, self.space.sample(numpy_generator(0, "example"), 1), self.encoding)
        return write_program(EnsembleMean(self.predictor), (x,), path, any_number=True)

    def predict_step(self, batch: object, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Return the predicted errors of a plain loader's cells, ``archs`` or ``(archs, ...)``."""
        return self.predict(cells_of(batch))

    def training_step(self, batch: CellBatch, batch_idx: int) -> Tensor:
        """Return the loss, summed over members; log its mean."""
        flat = self._encoded(batch["archs"].flatten(0, 1))
        x = flat.view(*batch["archs"].shape[:2], -1)
        loss = objective(self.predictor, x, batch["targets"], self.rules)
        self.log("train/loss", loss / self.members, prog_bar=True, batch_size=x.shape[1])
        return loss

    def validation_step(self, batch: CellBatch, batch_idx: int) -> None:
        """Score the validation cells."""
        self._score("val", batch)

    def test_step(self, batch: CellBatch, batch_idx: int) -> None:
        """Score the test cells."""
        self._score("test", batch)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return Adam, its rate constant or a cosine over the epochs."""
        epochs = self.trainer.max_epochs or 0
        if epochs < 1:
            raise ConfigError("trainer.max_epochs", "is not set; the learning rate follows it")
        optimizer = make_optimizer(self.predictor.parameters(), self.rules)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda epoch: rate_factor(epoch, epochs, self.rules)
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _encoded(self, archs: Tensor) -> Tensor:
        return encode(self.space, archs.cpu().numpy(), self.encoding).to(self.device)

    def _score(self, stage: str, batch: CellBatch) -> None:
        predictions = ensemble_mean(self.predictor, self._encoded(batch["archs"]), members=self.members)[0]
        scores = score(predictions, batch["targets"], k=min(self.k, len(predictions)))
        if "removed" in batch:
            scores["removed_duplicates"] = batch["removed"].float()
        self.log_dict(
            {f"{stage}/{name}": value for name, value in scores.items()}, batch_size=len(predictions)
        )
