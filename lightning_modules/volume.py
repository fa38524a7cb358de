"""Draw volumes in a multi-view world and judge them by views no sampler saw."""

from typing import Any

import torch

from lightning_modules.diffrep import DiffrepSampler
from sevenfold.diffreps.worlds.judge import Judge
from sevenfold.diffreps.worlds.looks import depth_agreement, opacity_entropy, seen


class VolumeSampler(DiffrepSampler):
    """Draw the samples of an item of ``datamodules.volumes.VolumeTrials``; one record an item.

    Args:
        width: of the kernel by which likelihoods are judged.
        snapshot_every: steps between snapshots, from which a run that was cut off goes on.
    """

    def __init__(self, *, width: float = 0.075, snapshot_every: int = 10) -> None:
        super().__init__(reference=None, snapshot_every=snapshot_every)
        self.width = width
        self.judge: Judge | None = None

    def on_predict_start(self) -> None:
        """Render what samples are compared with."""
        self.judge = Judge(self.trainer.datamodule.world, width=self.width)

    def predict_step(self, item: Any, batch_idx: int) -> list[dict[str, Any]]:
        """Return the record."""
        if not item.samples:
            return []
        assert self.judge is not None
        with torch.inference_mode(False), torch.no_grad():
            chunk = self._chunk(item)
            volume, theta = item.setting.representation.cpu(), chunk["theta"].float()
            world = self.trainer.datamodule.world
            said = self.judge.summary(seen(volume, theta, world.held_out()))
            said |= depth_agreement(volume, theta, world.held_out()) | opacity_entropy(
                volume, theta, world.held_out()
            )
        took = {name: chunk[name] for name in ("calls", "evaluations", "inner", "parameters", "seconds")}
        refused = float(chunk["refused"].mean())
        return [{"key": item.group, "group": item.setting.label, **said, **took, "refused": refused}]
