"""Loggers bound to a run folder; the functions' arguments are the configuration under ``logger``.

``run`` holds the ``folder``, the ``config`` and the ``shard`` of the run.
"""

import os
import secrets
import warnings
from pathlib import Path
from typing import Literal, TypedDict

from pytorch_lightning.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from callbacks.run_identity import Config
from sevenfold.config import ConfigError
from sevenfold.ranges import Count
from sevenfold.run_files import amend_identity, read_identity


class Run(TypedDict):
    """What a logger is bound to."""

    folder: Path
    config: Config
    shard: tuple[int, int]


def _place(run: Run, name: str = "") -> str:
    """Return a folder below the run folder; every shard but the first has its own."""
    return os.path.join(name, "" if run["shard"][0] == 1 else f"shard_{run['shard'][0]}").rstrip("/")


def csv_logger(*, run: Run, flush_every: Count = 100) -> CSVLogger:
    """Write ``metrics.csv`` into the run folder.

    Args:
        run: the run.
        flush_every: rows in memory before they are written to disk.
    """
    # A resumed run is continued in its own folder, which Lightning takes for a mistake.
    warnings.filterwarnings("ignore", message="Experiment logs directory")
    return CSVLogger(run["folder"], name=_place(run), version="", flush_logs_every_n_steps=flush_every)


def tensorboard_logger(*, run: Run) -> TensorBoardLogger:
    """Write TensorBoard event files into ``tensorboard/`` of the run folder."""
    try:
        return TensorBoardLogger(run["folder"], name=_place(run, "tensorboard"), version="")
    except ModuleNotFoundError:
        raise ConfigError("", "needs the extra 'tensorboard': pip install -e '.[tensorboard]'") from None


def mlflow_logger(
    *,
    run: Run,
    experiment: str = "sevenfold",
    tracking_uri: str | None = None,
    tags: dict[str, str] = {},  # noqa: B006 (never changed)
    log_model: bool = False,
) -> MLFlowLogger:
    """Log to MLflow; a resumed run continues the same MLflow run.

    Args:
        run: the run.
        experiment: name of the experiment.
        tracking_uri: of a server or a database; by default the file ``mlflow.db`` in the run folder.
        tags: of the run.
        log_model: upload checkpoints at the end.
    """
    uri = tracking_uri or f"sqlite:///{run['folder']}/mlflow.db"
    try:
        logger = MLFlowLogger(
            experiment_name=experiment,
            run_name=_run_name(run),
            tracking_uri=uri,
            tags={**dict.fromkeys(run["config"]["tags"], "true"), **tags},
            log_model=log_model,
            run_id=read_identity(run["folder"]).get("mlflow"),
        )
        number = logger.run_id if rank_zero_only.rank == 0 else None
    except ModuleNotFoundError:
        raise ConfigError("", "needs the extra 'mlflow': pip install -e '.[mlflow]'") from None
    except Exception as error:
        raise ConfigError("tracking_uri", f"MLflow at '{uri}' does not answer: {_line(error)}") from None
    if number is not None:
        amend_identity(run["folder"], mlflow=number)
    return logger


def wandb_logger(
    *,
    run: Run,
    project: str = "sevenfold",
    entity: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    tags: list[str] = [],  # noqa: B006 (never changed)
    notes: str | None = None,
    id: str | None = None,
    resume: bool = True,
    mode: Literal["online", "offline"] | None = None,
    save_code: bool = False,
    watch: Literal["gradients", "parameters", "all"] | None = None,
    log_model: bool = False,
) -> WandbLogger:
    """Log to Weights & Biases: scalars, pictures, the page, with the resolved configuration.

    Args:
        run: the run.
        project: name of the project.
        entity: user or team; by default the key's own.
        group: name under which runs are grouped.
        job_type: such as train or eval.
        tags: beside those of the run.
        notes: a longer description.
        id: of the W&B run; by default a new one, stored in ``run.json``.
        resume: continue the same W&B run when the run is resumed.
        mode: by default online if W&B has a key or ``WANDB_MODE`` says so; else the run is stored offline in
            the run folder, where ``wandb sync`` finds it.
        save_code: upload the main program.
        watch: log histograms of gradients, parameters or both.
        log_model: upload checkpoints; only when online.
    """
    import wandb

    offline = _offline() if mode is None else mode == "offline"
    known = read_identity(run["folder"]).get("wandb") if resume and run["shard"][0] == 1 else None
    number = id or known or os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
    logger = WandbLogger(
        project=project,
        entity=entity,
        group=group,
        job_type=job_type,
        name=_run_name(run),
        save_dir=run["folder"],
        tags=[*run["config"]["tags"], *tags],
        notes=notes,
        id=number,
        save_code=save_code,
        config=run["config"],
        offline=offline,
        # wandb reads its environment once, possibly before Lightning sets it
        mode="offline" if offline else None,
        log_model=log_model and not offline,
        **({} if offline else {"resume": "allow" if resume else None}),
    )
    try:
        _ = logger.experiment
    except wandb.errors.Error as error:
        raise ConfigError(
            "mode", f"W&B cannot be used: {_line(error)}; say mode=offline and sync later"
        ) from None
    if rank_zero_only.rank == 0:
        amend_identity(run["folder"], wandb=number)
    logger.watch_what = watch
    return logger


def _run_name(run: Run) -> str:
    shard = "" if run["shard"] == (1, 1) else f"/shard_{run['shard'][0]}"
    return f"{run['config']['name']}/{run['folder'].name}{shard}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _offline() -> bool:
    if "WANDB_MODE" in os.environ:
        return os.environ["WANDB_MODE"] in ("offline", "dryrun")
    import wandb

    return not wandb.login(prompt=False)
