"""Pictures of predicted flow, as files in the run folder and in every logger that takes pictures."""

from functools import partialmethod
from pathlib import Path
from typing import ClassVar

import pytorch_lightning as pl
import torch

from sevenfold.errors import InputError
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.color import batch_panels
from sevenfold.flow.formats import write_image
from sevenfold.flow.showcase import draw_showcase
from sevenfold.ranges import NonNegativeInt


class FlowImages(pl.Callback):
    """Show the first items of validation, test and prediction: frames, prediction, truth, error.

    The panels are written to ``images/`` of the run folder, each validation over the last, and logged as
    ``<stage>/panels`` wherever a logger has ``log_image``. The step must return a mapping with ``flow`` (B,
    2, H, W) in px; one of prediction may leave it out. Only rank zero draws, and only what it sees.

    Args:
        count: items of each stage that are drawn.
        showcase: add a clip with known flow by the model and by the shipped one (``flow.showcase``) to tests.
    """

    needs: ClassVar[type] = FlowBatch

    def __init__(self, *, count: NonNegativeInt = 4, showcase: bool = False) -> None:
        self.count, self.showcase = count, showcase
        self._panels: dict[str, torch.Tensor] = {}

    def _collect(
        self, stage: str, trainer: pl.Trainer, _: object, outputs: object, batch: FlowBatch, *__: int
    ) -> None:
        """Draw what is still missing of this stage's pictures."""
        if not trainer.is_global_zero or trainer.sanity_checking or len(self._panels) >= self.count:
            return
        flow = outputs.get("flow") if isinstance(outputs, dict) else None
        if flow is None:
            if stage == "predict":
                return
            raise InputError("flow_images needs steps that return {'flow': ...}; use it with a model of flow")
        self._panels |= batch_panels(batch, flow, self.count - len(self._panels))

    def _publish(self, stage: str, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        """Write and log the panels, and start anew."""
        panels, self._panels = self._panels, {}
        for name, picture in panels.items():
            file = f"{stage}_{name.replace('/', '_')}.png"
            write_image(Path(trainer.default_root_dir) / "images" / file, picture)
        pictures = [picture.permute(1, 2, 0).numpy() for picture in panels.values()]
        for logger in [each for each in trainer.loggers if panels and hasattr(each, "log_image")]:
            logger.log_image(f"{stage}/panels", pictures, step=trainer.global_step, caption=list(panels))

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the clip and log its errors."""
        if self.showcase and trainer.is_global_zero:
            errors = draw_showcase(pl_module, Path(trainer.default_root_dir))
            pl_module.log_dict(errors, rank_zero_only=True)

    on_validation_batch_end = partialmethod(_collect, "val")
    on_test_batch_end = partialmethod(_collect, "test")
    on_predict_batch_end = partialmethod(_collect, "predict")
    on_validation_end = partialmethod(_publish, "val")
    on_test_end = partialmethod(_publish, "test")
    on_predict_end = partialmethod(_publish, "predict")
