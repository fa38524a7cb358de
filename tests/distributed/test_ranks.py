"""Two gloo processes do what one does: the same weights. Processes are started for real."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sevenfold.checkpoint import read_checkpoint
from sevenfold.records import read_folder

ROOT = Path(__file__).resolve().parents[2]
TWO = ["trainer.devices=2", "trainer.strategy=ddp"]


def start(program: Path, cwd: Path, *arguments: str) -> None:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {key: value for key, value in os.environ.items() if key != "SEVENFOLD_RUN_FOLDER"}
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        cwd=cwd, env={**environment, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.distributed
def test_one_and_two_processes_give_the_same_records(toy_study: Path) -> None:
    from train import main

    assert main(["--config", str(toy_study), "name=one"]) == 0
    start(ROOT / "tests/toy_train.py", Path.cwd(), "--config", str(toy_study), "name=two", *TWO)
    assert read_folder("runs/two/version_0/records") == read_folder("runs/one/version_0/records")
    assert [path.name for path in Path("runs/two/version_0/records").iterdir()] == ["records.jsonl"]


@pytest.mark.distributed
def test_two_processes_train_a_deq_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from train import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    settings = [
        "--config", str(ROOT / "configs/flow/demo.yaml"), "trainer.accelerator=cpu", "trainer.max_epochs=1",
        "trainer.limit_train_batches=2", "data.crop=32", "data.train_pairs=4", "data.workers=0",
        "data.evaluation.size=32", "data.evaluation.val_pairs=2", "model.training.stale_start=0",
        "test_after_fit=false", "callbacks.flow_images=null",
        "model.optim.eps=1",  # Adam would blow up rounding where gradients are zero (biases before a norm)
    ]  # fmt: skip
    assert main([*settings, "name=one", "data.batch_size=2"]) == 0
    start(ROOT / "train.py", tmp_path, *settings, "name=two", "data.batch_size=1", *TWO)
    one, two = (read_checkpoint(f"runs/{name}/version_0/checkpoints/last.ckpt") for name in ("one", "two"))
    assert one["global_step"] == two["global_step"] == 2
    for name, value in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][name], value, rtol=1e-4, atol=1e-6)
