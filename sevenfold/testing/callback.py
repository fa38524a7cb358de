"""The contract of a callback."""

import io
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sevenfold.testing.contract import Check, require, run_checks

Weights = Mapping[str, Tensor]


def check_callback(make: Callable[[], Any], *, observes: bool = True) -> None:
    """Check that a callback works in a training, keeps a plain state, and leaves results alone.

    Args:
        make: a function (or class) that makes the callback.
        observes: whether it must not change what is trained.

    >>> from pytorch_lightning.callbacks import Timer
    >>> check_callback(Timer)
    """
    with tempfile.TemporaryDirectory(prefix="sevenfold-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_checks(CHECKS if observes else CHECKS[:-1], make, Path(folder))


def _trained(
    callbacks: list[Any], folder: Path, checkpoint: bool = False
) -> tuple[Mapping[str, Tensor], Any]:
    """Train, validate, test and predict with a linear module; return its weights and a checkpoint."""
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import ProgressBar
    from torch.utils.data import DataLoader, TensorDataset

    class Linear(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.layer(x)
            return result

        def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
            loss = self(batch[0]).square().mean()
            self.log("train/loss", loss)
            return loss

        def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
            self.log("val/loss", self(batch[0]).square().mean())

        def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
            self.log("test/loss", self(batch[0]).square().mean())

        def predict_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
            result: Tensor = self(batch[0])
            return result

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    pl.seed_everything(0, verbose=False)
    module = Linear()
    rows = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(TensorDataset(rows), batch_size=4)
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=any(isinstance(each, ProgressBar) for each in callbacks),
        enable_model_summary=False, default_root_dir=folder, callbacks=callbacks,
    )  # fmt: skip
    trainer.fit(module, loader, loader)
    trainer.test(module, loader, verbose=False)
    trainer.predict(module, loader)
    file = folder / "state.ckpt"
    if checkpoint:
        trainer.save_checkpoint(file)
    return {k: v.clone() for k, v in module.state_dict().items()}, file


def works_in_every_stage(make: Callable[[], Any], folder: Path) -> None:
    """It is a Lightning callback and goes through fitting, validating, testing and predicting."""
    import pytorch_lightning as pl

    callback = make()
    require(isinstance(callback, pl.Callback), f"It is a {type(callback).__name__}.")
    _trained([callback], folder)


def state_is_plain(make: Callable[[], Any], folder: Path) -> None:
    """Its state in a checkpoint is plain values and tensors, and another one takes it back."""
    callback = make()
    _, file = _trained([callback], folder, checkpoint=True)
    try:
        content = torch.load(io.BytesIO(file.read_bytes()), weights_only=True)
    except Exception:
        require(False, f"It is not: {callback.state_dict()!r:.80}.")
    state = content["callbacks"].get(callback.state_key, {}) if isinstance(content, dict) else {}
    make().load_state_dict(state)


def results_stay_the_same(make: Callable[[], Any], folder: Path) -> None:
    """Weights after a training are the same with it as without it."""
    without, _ = _trained([], folder)
    weights, _ = _trained([make()], folder)
    require(all(torch.equal(weights[name], without[name]) for name in without), "The weights differ.")


CHECKS: tuple[Check, ...] = (works_in_every_stage, state_is_plain, results_stay_the_same)
