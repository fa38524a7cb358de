"""What every run leaves in its folder and in its checkpoints."""

import json
import sys
from pathlib import Path

import pytorch_lightning as pl
import yaml
from lightning_fabric.utilities.types import _Stateful as Stateful

from sevenfold.checkpoint import Checkpoint
from sevenfold.config import Node
from sevenfold.environment import environment
from sevenfold.files import write_text
from sevenfold.random_state import random_state, set_random_state


class RunFolder(pl.Callback):
    """Write ``config.yaml`` and ``environment.json``, and put the plain configuration into every checkpoint.

    ``folder`` is the run's folder, ``config`` the resolved configuration: plain values only, so that
    checkpoints load with ``weights_only=True``. Other callbacks and data modules find the folder as
    ``trainer.default_root_dir``.
    """

    def __init__(self, folder: Path, config: Node):
        self.folder, self.config = folder, config
        self._resumed: Checkpoint | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write both files on rank zero."""
        if trainer.is_global_zero:
            write_text(self.folder / "config.yaml", yaml.safe_dump(self.config, sort_keys=False))
            facts = {
                "command": sys.argv,
                "accelerator": type(trainer.accelerator).__name__,
                "world_size": trainer.world_size,
                **environment(trainer.device_ids),
            }
            write_text(self.folder / "environment.json", json.dumps(facts, indent=2) + "\n")

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint
    ) -> None:
        """Add the configuration, the state of the global random numbers and the place in the epoch."""
        places = [loader.state_dict() for loader in _loaders(trainer)]
        checkpoint["config"] = self.config
        checkpoint["resumption"] = {"random": random_state(), "places": places}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with the random numbers and the place in the epoch of the checkpoint, if there was one.

        Lightning restores places only in loaders that it makes after it has read the checkpoint, and asking
        for the number of steps, as schedules of rates do, makes them before.
        """
        if self._resumed is not None:
            set_random_state(self._resumed["random"])
            for loader, place in zip(_loaders(trainer), self._resumed["places"], strict=False):
                loader.load_state_dict(place)
            self._resumed = None

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint
    ) -> None:
        """Let checkpoint callbacks keep their best scores, which they drop when the folder has changed.

        A resumed run has a new folder; the files of the earlier one stay where they are.
        """
        self._resumed = checkpoint.get("resumption")
        for callback in trainer.checkpoint_callbacks:
            if (state := checkpoint.get("callbacks", {}).get(callback.state_key)) is not None:
                state["dirpath"] = callback.dirpath


def _loaders(trainer: pl.Trainer) -> list[Stateful]:
    """Return the training loaders that know their place in the epoch."""
    loaders = trainer.train_dataloader
    several = loaders if isinstance(loaders, list | tuple) else [loaders]
    return [loader for loader in several if isinstance(loader, Stateful)]
