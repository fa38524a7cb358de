"""The recipe of the shipped weights: cut in the middle of an epoch, it goes on to the same weights."""

import os
import signal
from pathlib import Path

import pytest
from jobs import assert_equal, last, results

from lightning_modules.flow import FlowModule
from train import main

RECIPE = Path(__file__).resolve().parents[2] / "configs/flow/ship.yaml"
TINY = [
    *(f"data.phases.{number}.crop=[32,32]" for number in range(3)),
    *(f"data.phases.{number}.batch_size={2 - number // 2}" for number in range(3)),
    *(f"data.evaluation.{name}" for name in ("size=32", "val_pairs=1", "test_pairs=1")),
    "data.epoch_batches=5", "trainer.max_steps=8", "trainer.accelerator=cpu", "trainer.deterministic=true",
    "model.training.iterations=[3,6]", "model.evaluation.iterations=3", "model.evaluation.budgets=[4]",
    "callbacks.progress=null", "callbacks.flow_images=null",
]  # fmt: skip


@pytest.mark.slow
def test_a_cut_in_the_middle_of_an_epoch_changes_no_bit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    arguments = ["--config", str(RECIPE), *TINY]
    assert main([*arguments, "name=whole"]) == 0
    step = FlowModule.training_step

    def stopping(self, batch, index):
        if self.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(FlowModule, "training_step", stopping)
        assert main([*arguments, "name=cut"]) == 128 + signal.SIGTERM
    assert results("cut")["status"] == "interrupted"
    assert main([*arguments, "name=cut", "--resume"]) == 0
    assert_equal(last("whole"), last("cut"))
