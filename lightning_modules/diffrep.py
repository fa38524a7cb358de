"""Draw samples of differentiable representations."""

from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from sevenfold.config import ConfigError
from sevenfold.diffreps.chunk import chunk_of, records_of, save
from sevenfold.diffreps.run import Watch, run
from sevenfold.diffreps.scores import Scorer

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class DiffrepSampler(pl.LightningModule):
    """Draw the samples of an item of ``datamodules.diffreps.SampleTrials``; one record a sample.

    Args:
        dtype: of parameters, images and solves.
        reference: label of the method whose images, from the same noise, samples are compared with; null for
            none.
        snapshot_every: steps between snapshots, from which a run that was cut off goes on.
        frames: of how many samples of a chunk the way is kept, for pictures.

    Images, parameters and features of a chunk are kept in ``samples/`` of the run's folder.
    """

    def __init__(
        self,
        *,
        dtype: Literal["float32", "float64"] = "float32",
        reference: str | None = "reference",
        snapshot_every: int = 50,
        frames: int = 0,
    ) -> None:
        super().__init__()
        if snapshot_every < 1 or frames < 0:
            raise ConfigError(
                "snapshot_every", f"needs >= 1, and frames >= 0; got {snapshot_every}, {frames}"
            )
        self.sampling_dtype, self.reference = DTYPES[dtype], reference
        self.snapshot_every, self.frames = snapshot_every, frames
        self.scorer: Scorer | None = None

    def on_predict_start(self) -> None:
        """Refuse a reference that is no method; train the classifier of real images."""
        data = self.trainer.datamodule
        if self.reference is not None and self.reference not in data.methods:
            raise ConfigError("model.reference", f"'{self.reference}' is none of {', '.join(data.methods)}")
        self.scorer = None if data.real is None else Scorer(data.real, data.prior)
        if self.scorer is not None and self.trainer.is_global_zero:
            save(self.folder / "real.pt", self.scorer.real())

    @property
    def folder(self) -> Path:
        """Return where samples are kept."""
        return Path(self.trainer.default_root_dir) / "samples"

    def predict_step(self, item: Any, batch_idx: int) -> list[dict[str, Any]]:
        """Return the records."""
        if not item.samples:
            return []
        with torch.inference_mode(False), torch.no_grad():
            chunk = self._chunk(item)
            reference = None if self.reference is None else self._chunk(item.by(self.reference))["images"]
        low, high = item.setting.prior.range or (-1.0, 1.0)
        rows = records_of(chunk, None if item.label == self.reference else reference, high - low)
        return [
            {"key": key, "group": item.group, "asked": asked, **row}
            for key, asked, row in zip(item.keys, item.labels, rows, strict=True)
        ]

    def _chunk(self, item: Any) -> dict[str, Any]:
        """Return an item's samples: from the run's folder, or drawn."""
        path = self.folder / item.file
        if path.is_file():
            return torch.load(path, weights_only=True)
        task = item.setting.task(item.samples, item.labels, self.sampling_dtype, self.device)
        snapshot = path.with_suffix(".snapshot")
        watch = Watch(snapshot, every=self.snapshot_every, frames=self.frames)
        chunk = chunk_of(run(item.method, task, watch), task, self.scorer)
        save(path, chunk)
        snapshot.unlink(missing_ok=True)
        return chunk
