"""What trackers get at the end of every kind of run: numbers, pictures, the page."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from callbacks.run_identity import Config
from sevenfold.layers import flat

MAX_PICTURES = 12
Numbers = Mapping[str, float]


CALLS = ("log_metrics", "log_hyperparams", "save", "finalize", "after_save_checkpoint")
"""What Lightning asks of a logger while a run goes on."""


def forgiving(logger: Logger) -> Logger:
    """Return the logger with its errors turned into warnings: the run matters more than what watches it.

    The CSV file is exempt: it lies in the run folder, whose disk has failed if it does.
    """
    if not isinstance(logger, CSVLogger):
        for name in CALLS:
            setattr(logger, name, _guarded(getattr(logger, name), type(logger).__name__))
    return logger


def _guarded(call: Callable[..., None], name: str) -> Callable[..., None]:
    def guarded(*arguments: object, **options: object) -> None:
        try:
            call(*arguments, **options)
        except Exception as error:
            warnings.warn(f"{name} does not answer ({error}); the run goes on", stacklevel=1)

    return guarded


def report(trainer: pl.Trainer, config: Config, scalars: Mapping[str, object], folder: Path) -> None:
    """Hand the final numbers, the pictures of ``images/`` and ``report.html`` to every tracker.

    A tracker that fails is a warning: the run has finished, and all of it is in its folder.
    """
    numbers = {
        name: float(value)
        for name, value in scalars.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
    pictures = sorted(p for p in (folder / "images").glob("*") if p.suffix in (".png", ".gif"))[:MAX_PICTURES]
    page = folder / "report.html"
    for logger in trainer.loggers:
        try:
            _send(logger, config, numbers, pictures, page if page.is_file() else None)
        except Exception as error:
            name = type(logger).__name__
            warnings.warn(f"{name} did not take the results ({error}); they are in '{folder}'", stacklevel=1)


def begin(trainer: pl.Trainer, model: pl.LightningModule, config: Config) -> None:
    """Hand the configuration, flat, to trackers; let W&B watch the model where that is wanted."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger | MLFlowLogger):
            logger.log_hyperparams(flat(config))
        elif isinstance(logger, WandbLogger) and logger.watch_what is not None:
            logger.watch(model, log=logger.watch_what)


def _send(
    logger: Logger, config: Config, numbers: Numbers, pictures: Sequence[Path], page: Path | None
) -> None:
    if isinstance(logger, WandbLogger):
        _to_wandb(logger, numbers, pictures, page)
    elif isinstance(logger, TensorBoardLogger):
        _to_tensorboard(logger, config, numbers, pictures, page)
    elif isinstance(logger, MLFlowLogger):
        logger.log_metrics(numbers)
        for path in [*pictures, *([page] if page else [])]:
            logger.experiment.log_artifact(logger.run_id, str(path))
    elif not isinstance(logger, CSVLogger):
        logger.log_metrics(numbers)


def _to_wandb(logger: WandbLogger, numbers: Numbers, pictures: Sequence[Path], page: Path | None) -> None:
    import wandb

    run = logger.experiment
    kinds = {".png": wandb.Image, ".gif": lambda path: wandb.Video(path, format="gif")}
    run.log({f"images/{path.stem}": kinds[path.suffix](str(path)) for path in pictures})
    run.summary.update(dict(numbers))
    if page is not None:
        artifact = wandb.Artifact(f"report-{run.id}", type="report")
        artifact.add_file(str(page))
        run.log_artifact(artifact)


def _to_tensorboard(
    logger: TensorBoardLogger, config: Config, numbers: Numbers, pictures: Sequence[Path], page: Path | None
) -> None:
    import numpy as np
    from PIL import Image

    logger.log_hyperparams(flat(config), dict(numbers))
    for name, value in numbers.items():
        logger.experiment.add_scalar(f"final/{name}", value)
    for path in pictures:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        logger.experiment.add_image(f"images/{path.stem}", pixels, dataformats="HWC")
    if page is not None:
        logger.experiment.add_text("report", str(page))
