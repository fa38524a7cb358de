"""Loggers bound to a run folder; the functions' arguments are the configuration under ``logger``."""

import os
import warnings
from typing import Any, Literal

from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger

from sevenfold.config import ConfigError


def csv_logger(*, run: dict[str, Any], flush_every: int = 100) -> CSVLogger:
    """Write ``metrics.csv`` into the run folder, to disk every ``flush_every`` rows."""
    # A predict run is continued in its own folder, which Lightning takes for a mistake; it logs no metrics.
    warnings.filterwarnings("ignore", message="Experiment logs directory")
    return CSVLogger(run["folder"], name="", version="", flush_logs_every_n_steps=flush_every)


def tensorboard_logger(*, run: dict[str, Any]) -> TensorBoardLogger:
    """Write TensorBoard event files into ``tensorboard/`` of the run folder."""
    try:
        return TensorBoardLogger(run["folder"], name="tensorboard", version="")
    except ModuleNotFoundError:
        raise ConfigError("", "needs the extra 'tensorboard': pip install -e '.[tensorboard]'") from None


def wandb_logger(
    *,
    run: dict[str, Any],
    project: str = "sevenfold",
    entity: str | None = None,
    group: str | None = None,
    mode: Literal["online", "offline"] | None = None,
    log_model: bool = False,
) -> WandbLogger:
    """Log to Weights & Biases: scalars, pictures and tables, with the resolved configuration.

    Without ``mode`` the run goes online if W&B has a key or ``WANDB_MODE`` says so; else it is kept offline
    in the run folder, where ``wandb sync`` finds it. Models are uploaded only when online.
    """
    offline = _offline() if mode is None else mode == "offline"
    return WandbLogger(
        project=project,
        entity=entity,
        group=group,
        name=f"{run['config']['name']}/{run['folder'].name}",
        save_dir=run["folder"],
        tags=run["config"]["tags"],
        config=run["config"],
        offline=offline,
        mode="offline"
        if offline
        else None,  # wandb reads its environment once, possibly before Lightning sets it
        log_model=log_model and not offline,
    )


def _offline() -> bool:
    if "WANDB_MODE" in os.environ:
        return os.environ["WANDB_MODE"] in ("offline", "dryrun")
    import wandb

    return not wandb.login(prompt=False)
