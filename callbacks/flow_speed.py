"""Where the error of a flow estimator lies: by the true speed of pixels, data set by data set."""

from pathlib import Path
from typing import ClassVar

import pytorch_lightning as pl

from sevenfold.errors import InputError
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.figures import draw_speed
from sevenfold.flow.speed import SpeedBins
from sevenfold.ranges import Positive


class FlowSpeed(pl.Callback):
    """Report the end-point error of tested pixels by true speed, exact over batches and processes.

    Adds ``speed/DATASET/LOW-HIGH`` to the results and draws ``images/speed.png``.

    Args:
        bounds: speeds in px at which one bin ends and the next begins.
    """

    needs: ClassVar[type] = FlowBatch

    def __init__(self, *, bounds: list[Positive] = [1, 2, 5, 10, 20, 40, 80]) -> None:  # noqa: B006
        self.bounds = bounds
        self._bins = SpeedBins(bounds)
        self._means: dict[str, float] = {}

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin anew."""
        self._bins = SpeedBins(self.bounds)

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: FlowBatch, *_: int
    ) -> None:
        """Sort the batch's errors into the bins."""
        if not isinstance(outputs, dict) or "flow" not in outputs:
            raise InputError("flow_speed needs steps that return {'flow': ...}; use it with a model of flow")
        self._bins.add(batch, outputs["flow"])

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Exchange the sums; every process takes part."""
        self._means = self._bins.means()

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the bins."""
        if trainer.is_global_zero and self._means:
            path = Path(trainer.default_root_dir) / "images/speed.png"
            path.parent.mkdir(exist_ok=True)
            draw_speed(self._means, self._bins.labels(), path)

    def results(self) -> dict[str, float]:
        """Return the mean error of each bin that has pixels."""
        return self._means
