"""Pictures of how samples came about."""

from pathlib import Path

import pytorch_lightning as pl

from callbacks.records import records_folder
from sevenfold.diffreps.pictures import animation, curves, plane
from sevenfold.diffreps.priors.base import ExactPrior
from sevenfold.diffreps.representations.curve import Curve
from sevenfold.diffreps.summary import by_group, load_group
from sevenfold.records import read_folder


class SamplePictures(pl.Callback):
    """Write residuals and counts (``images/curves.png``); where frames were kept, the way of the first
    samples (``images/*.gif``); for curves in the plane, density against histogram (``images/plane.png``).

    List it after ``samples``, whose files it reads.
    """

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw on rank zero."""
        if not trainer.is_global_zero:
            return
        folder = records_folder(trainer).parent
        (folder / "images").mkdir(exist_ok=True)
        groups = by_group(read_folder(records_folder(trainer)))
        loaded = {group: load_group(folder / "samples", group) for group in groups}
        curves({g: own["trace"] for g, own in loaded.items()}, folder / "images/curves.png")
        bounds = trainer.datamodule.prior.range or (-1.0, 1.0)
        for group, own in loaded.items():
            if own["frames"] is not None:
                animation(own["frames"], bounds, folder / f"images/{group.replace('/', '--')}.gif")
        self._plane(trainer, folder, loaded)

    def _plane(self, trainer: pl.Trainer, folder: Path, loaded: dict) -> None:
        setting = trainer.datamodule.settings[0]
        if isinstance(setting.representation, Curve) and isinstance(setting.prior, ExactPrior):
            own = {g: samples["theta"] for g, samples in loaded.items() if samples["theta"].ndim == 2}
            parts = setting.representation.cpu().double(), setting.prior.cpu().double()
            plane(*parts, own, folder / "images/plane.png")
