"""What modules that learn from learning curves share."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightning_modules.loadable import Loadable
from sevenfold.nas.spaces.cells import Cells, as_cells, cells_of
from sevenfold.nas.x11.base import Neural, built
from sevenfold.nas.x11.batch import CurveBatch, CurveFacts
from sevenfold.nas.x11.surrogate import Surrogate
from sevenfold.prediction import predicting


class CurveModule(Loadable):
    """Networks among the parts of surrogates are trained by the trainer; the rest is fitted beside.

    ``lr``, where it is set, replaces the rates of all networks.
    """

    batch: ClassVar[type] = CurveBatch
    built_from_data = True
    """Networks have sizes that only the data know; a checkpoint is read when these are there."""
    lr: float | None = None  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.networks, self.fitted = nn.ModuleList(), False
        self.neural: Sequence[Neural] = ()
        self.facts: CurveFacts | None = None

    def prepare_for(self, facts: CurveFacts) -> None:
        """Take over the curves to learn from."""
        self.facts = facts

    def register(self, parts: Sequence[Neural]) -> None:
        """Take over the networks of the parts that gradients train."""
        self.neural = parts
        self.networks = nn.ModuleList(built(part) for part in parts)
        self.automatic_optimization = len(self.networks) > 0

    def configure_optimizers(self) -> torch.optim.Optimizer | list[torch.optim.Optimizer]:
        """Return Adam with the rates of the parts; nothing where no part is a network."""
        groups = [{"params": built(part).parameters(), "lr": self.lr or part.lr} for part in self.neural]
        return torch.optim.Adam(groups) if groups else []

    def on_fit_start(self) -> None:
        """Bring networks that have been trained before into training mode."""
        self.networks.train()

    def on_train_start(self) -> None:
        """Take a fitted surrogate for unfinished from here on."""
        self.fitted = False

    def on_train_epoch_end(self) -> None:
        """Finish after the last epoch, before the checkpoint is written."""
        if self.current_epoch + 1 == self.trainer.max_epochs or self.trainer.should_stop:
            self._complete()

    def on_train_end(self) -> None:
        """Finish where training ended for another reason than its last epoch."""
        if not self.fitted:
            self._complete()

    def _complete(self) -> None:
        self.networks.eval()
        self.finish()
        self.networks.train()  # a batch-size finder goes on training
        self.fitted = True

    def on_fit_end(self) -> None:
        """Leave the networks as predictions need them."""
        self.networks.eval()

    @abstractmethod
    def finish(self) -> None:
        """Fit what needs trained networks."""

    @abstractmethod
    def select(self, noise: str | None = None) -> Surrogate:
        """Return the fitted surrogate, of several the one with this label of ``noise``."""

    def predict(
        self, cells: Cells, *, seeds: Sequence[int] | None = None, noise: str | None = None
    ) -> Tensor:
        """Return curves (n, epochs, metrics), denoised; with a seed for each cell, one training of it.

        Args:
            cells: rows of codes, or strings of the space (:func:`sevenfold.nas.spaces.cells.as_cells`).
            seeds: of the trainings, one a cell.
            noise: label of the model of noise, where there are several; by default the first.
        """
        surrogate = self.select(noise)
        archs = as_cells(surrogate.ensemble.space, cells)
        with predicting(self):
            return torch.from_numpy(surrogate.curves(archs, seeds=seeds))

    forward = predict

    def predict_step(self, batch: object, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Return the curves of a plain loader's cells, ``archs`` or ``(archs, ...)``."""
        return self.predict(cells_of(batch))
