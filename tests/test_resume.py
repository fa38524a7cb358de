"""A run killed with SIGKILL, amid an epoch or a checkpoint write, ends as if it had not been."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sevenfold.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parents[1]
SMALL = [
    "trainer.max_epochs=3", "trainer.accelerator=cpu", "trainer.deterministic=true", "data.workers=0",
    "data.crop=32", "data.train_pairs=40", "data.evaluation.size=32", "data.evaluation.val_pairs=2",
    "data.evaluation.test_pairs=2",
]  # fmt: skip


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *arguments]


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "SEVENFOLD_RUN_FOLDER"}
    return {**kept, "OMP_NUM_THREADS": "1"}


def wait_for(condition: object, seconds: float = 900) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "the run did not come that far"
        time.sleep(0.02)


def test_a_kill_inside_a_checkpoint_write_leaves_the_old_one_whole(tmp_path: Path) -> None:
    """Lightning's own save is killed after half its bytes: the file that stood there must stay readable."""
    script = """
import os, signal, sys, torch
from lightning_fabric.utilities.cloud_io import _atomic_save
import fsspec.implementations.local as local
path = sys.argv[1]
_atomic_save({"state_dict": {"a": torch.zeros(10_000)}}, path)
write = local.LocalFileOpener.write
def half(self, data):
    write(self, bytes(data)[: len(data) // 2])
    self.f.flush()
    os.kill(os.getpid(), signal.SIGKILL)
local.LocalFileOpener.write = half
_atomic_save({"state_dict": {"a": torch.ones(10_000)}}, path)
"""
    path = tmp_path / "last.ckpt"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert torch.equal(read_checkpoint(path)["state_dict"]["a"], torch.zeros(10_000))


@pytest.mark.slow
def test_check_18_a_killed_demo_resumes_to_the_weights_of_an_uninterrupted_run(tmp_path: Path) -> None:
    settings = ["--config", str(ROOT / "configs/flow/demo.yaml"), *SMALL]
    subprocess.run(command(*settings, "name=whole"), cwd=tmp_path, env=environment(), check=True, timeout=600)

    killed = subprocess.Popen(command(*settings, "name=cut"), cwd=tmp_path, env=environment())
    checkpoint = tmp_path / "runs/cut/version_0/checkpoints/last.ckpt"
    wait_for(checkpoint.exists)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert read_checkpoint(checkpoint)["epoch"] < 3, "killed too late to show anything"

    resume = command(*settings, "name=cut", "--resume=must")
    subprocess.run(resume, cwd=tmp_path, env=environment(), check=True, timeout=600)
    whole = read_checkpoint(tmp_path / "runs/whole/version_0/checkpoints/last.ckpt")["state_dict"]
    resumed = read_checkpoint(tmp_path / "runs/cut/version_0/checkpoints/last.ckpt")["state_dict"]
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
