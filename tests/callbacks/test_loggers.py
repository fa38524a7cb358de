"""W&B offline: what was logged is on disk, pictures and configuration included; secrets are not."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from callbacks.loggers import _offline


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")


def test_without_a_key_runs_stay_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _offline()
    monkeypatch.setenv("WANDB_MODE", "online")
    assert not _offline()
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert _offline()


def test_an_offline_run_keeps_scalars_pictures_tables_and_configuration(
    run_toy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import toy

    def end(self: toy.ToyModule) -> None:
        for logger in self.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image("panel", [np.zeros((4, 4, 3), np.uint8)])

    monkeypatch.setattr(toy.ToyModule, "on_test_end", end, raising=False)
    folder = run_toy("logger.wandb.project=p", "--tags=[one]", "trainer.log_every_n_steps=1")
    import wandb

    wandb.finish()
    run = next((folder / "wandb").glob("offline-run-*"))
    assert list((run / "files/media/images").glob("panel*.png"))
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(run)],
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "test/loss" in done.stdout


def test_tensorboard_is_an_extra(run_toy: Callable[..., Path]) -> None:
    folder = run_toy("logger.tensorboard={}")
    assert list((folder / "tensorboard").rglob("events.out.tfevents*"))
    assert (
        torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["config"]["logger"]["tensorboard"]
        == {}
    )
