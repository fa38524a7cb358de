"""The run folder: chosen once for all ranks, and what every run leaves in it."""

import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

from sevenfold.files import write_text
from sevenfold.results import Results

INHERITED = "SEVENFOLD_RUN_FOLDER"
PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "omegaconf", "wandb", "fairlearn",
            "numpy", "scipy", "scikit-learn")  # fmt: skip


class RunFolder(pl.Callback):
    """Write ``config.yaml`` and ``environment.json``, and put the plain configuration into every checkpoint.

    ``folder`` is the run's folder, ``config`` the resolved configuration: plain values only, so that
    checkpoints load with ``weights_only=True``. Other callbacks and data modules find the folder as
    ``trainer.default_root_dir``.
    """

    def __init__(self, folder: Path, config: dict[str, Any]):
        self.folder, self.config = folder, config

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write both files on rank zero."""
        if trainer.is_global_zero:
            write_text(self.folder / "config.yaml", yaml.safe_dump(self.config, sort_keys=False))
            write_text(self.folder / "environment.json", json.dumps(environment(trainer), indent=2) + "\n")

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the configuration."""
        checkpoint["config"] = self.config

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let checkpoint callbacks keep their best scores, which they drop when the folder has changed.

        A resumed run has a folder of its own; the files of the earlier one stay where they are.
        """
        for callback in trainer.checkpoint_callbacks:
            if (state := checkpoint.get("callbacks", {}).get(callback.state_key)) is not None:
                state["dirpath"] = callback.dirpath


def log_results(trainer: pl.Trainer, results: Results) -> None:
    """Hand the headline numbers to every logger that takes tables (W&B), as one table."""
    rows = [[name, value] for name, value in sorted({**results.metrics, **results.reference}.items())]
    for logger in trainer.loggers if trainer.is_global_zero and rows else []:
        if hasattr(logger, "log_table"):
            logger.log_table("results", columns=["name", "value"], data=rows)


def environment(trainer: pl.Trainer) -> dict[str, Any]:
    """Describe what a run ran on: versions, commit, command line and devices."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
        "command": sys.argv,
        "accelerator": type(trainer.accelerator).__name__,
        "devices": [
            torch.cuda.get_device_name(i) if torch.cuda.is_available() else "cpu" for i in trainer.device_ids
        ],
        "world_size": trainer.world_size,
        "threads": torch.get_num_threads(),
    }


def _git(*arguments: str) -> str | None:
    """Return what git says about the project's checkout, or None outside one."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def choose_folder(config: dict[str, Any]) -> Path:
    """Return this run's folder ``output_dir/name/version_N``, the same on every rank, created.

    Rank zero chooses. Ranks that it starts inherit the choice through their environment; ranks started from
    outside (torchrun, SLURM) receive it over a process group that lives for this one message. A ``predict``
    that was cut off is continued in its own folder, where its records are, if the configuration is still the
    same.
    """
    if INHERITED in os.environ and os.environ.get("LOCAL_RANK", "0") != "0":
        return Path(os.environ[INHERITED])
    outside = next((kind() for kind in (TorchElasticEnvironment, SLURMEnvironment) if kind.detect()), None)
    if outside is None or outside.world_size() == 1:
        folder = _unfinished(config) or _next_version(config)
        os.environ[INHERITED] = str(folder)
        return folder
    box = [_unfinished(config) or _next_version(config)] if outside.global_rank() == 0 else [None]
    os.environ |= {"MASTER_ADDR": outside.main_address, "MASTER_PORT": str(outside.main_port)}
    torch.distributed.init_process_group("gloo", rank=outside.global_rank(), world_size=outside.world_size())
    torch.distributed.broadcast_object_list(box)
    torch.distributed.destroy_process_group()
    return box[0]


def discard(folder: Path) -> None:
    """Take back a folder that was chosen for a run that cannot start, with its parents as far as they are
    empty.
    """
    for path in (folder, *folder.parents[:2]):
        if any(path.iterdir()):
            return
        path.rmdir()


def _versions(config: dict[str, Any]) -> list[Path]:
    root = Path(config["output_dir"]) / config["name"]
    found = [path for path in root.glob("version_*") if path.name.removeprefix("version_").isdigit()]
    return sorted(found, key=_number)


def _number(folder: Path) -> int:
    return int(folder.name.removeprefix("version_"))


def _next_version(config: dict[str, Any]) -> Path:
    """Create the first folder after the last one; two runs that start together get two folders."""
    number = max(map(_number, _versions(config)), default=-1) + 1
    root = Path(config["output_dir"]).absolute() / config["name"]
    root.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            (folder := root / f"version_{number}").mkdir()
            return folder
        except FileExistsError:
            number += 1


def _unfinished(config: dict[str, Any]) -> Path | None:
    """Return the newest version if it is a ``predict`` of the same configuration that has not finished."""
    versions = _versions(config)
    if config["verb"] != "predict" or not versions or not (versions[-1] / "config.yaml").is_file():
        return None
    if yaml.safe_load((versions[-1] / "config.yaml").read_text()) != config:
        return None
    results = versions[-1] / "results.json"
    finished = results.is_file() and json.loads(results.read_text())["status"] == "finished"
    return None if finished else versions[-1].absolute()
