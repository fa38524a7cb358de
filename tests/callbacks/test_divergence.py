"""Steps left out, returns to a good state, and the end of a training that no return helps."""

import math
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from jobs import assert_equal, last, results
from torch import nn

from sevenfold.checkpoint import read_checkpoint
from sevenfold.errors import InputError
from sevenfold.flow.batch import complete
from sevenfold.loss_watch import LossWatch
from sevenfold.rollback import GoodState
from train import main


def test_one_step_that_is_not_finite_is_left_out(fit):
    """The step changes nothing, not even the optimizer's moments; the training ends as any other."""
    assert fit("model.fault=once", "trainer.max_epochs=3") == 0
    content = results("toy")
    assert content["status"] == "finished" and content["metrics"]["train/skipped"] == 1
    assert content["metrics"]["train/rollbacks"] == 0
    state = read_checkpoint(last("toy"))
    assert all(value.isfinite().all() for value in state["state_dict"].values())
    (moments,) = {int(part["step"]) for part in state["optimizer_states"][0]["state"].values()}
    assert moments == state["global_step"] - 1 == 11


def test_a_burst_is_rolled_back_at_half_the_rate(fit):
    assert fit("model.fault=burst", "trainer.max_epochs=6", "callbacks.ema.decay=0.9") == 0
    content = results("toy")
    assert content["metrics"]["train/rollbacks"] == 1 and content["metrics"]["train/skipped"] == 3
    state = read_checkpoint(last("toy"))
    assert state["optimizer_states"][0]["param_groups"][0]["lr"] == 0.025
    # The copy of step 0 came back: its optimizer had seen no step, and 12 follow the return at step 12.
    (moments,) = {int(part["step"]) for part in state["optimizer_states"][0]["state"].values()}
    assert moments == state["global_step"] - 12


def test_a_rate_without_sense_ends_diverged(fit, capsys):
    settings = ["model.optim.lr=1e12", "trainer.max_epochs=40", "callbacks.divergence.patience=20"]
    assert fit(*settings) == 3
    assert "training diverged at step" in capsys.readouterr().err
    content = results("toy")
    assert content["status"] == "diverged" and content["rollbacks"] == 2
    assert "running median" in content["cause"] and content["step"] > 60
    for path in last("toy").parent.glob("*.ckpt"):
        assert all(value.isfinite().all() for value in read_checkpoint(path)["state_dict"].values())


def test_without_rollback_it_ends_at_once(fit):
    assert fit("model.fault=nan", "callbacks.divergence.rollbacks=0", "trainer.max_epochs=9") == 3
    content = results("toy")
    assert content["rollbacks"] == 0 and content["step"] == 12 and "3 steps in a row" in content["cause"]


def test_a_healthy_training_is_the_same_without_the_guard(fit):
    assert fit("name=with", "model.kind=noisy") == 0
    assert fit("name=without", "model.kind=noisy", "callbacks.divergence=null") == 0
    assert_equal(last("with"), last("without"))
    assert "train/skipped" not in results("with")["metrics"]


@pytest.mark.slow
def test_flow_with_a_rate_without_sense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = Path(__file__).resolve().parents[2] / "configs/flow/demo.yaml"
    monkeypatch.chdir(tmp_path)
    small = ["data.crop=32", "data.train_pairs=60", "data.batch_size=1", "data.workers=0"]
    small += [f"data.evaluation.{name}" for name in ("size=32", "val_pairs=2", "test_pairs=2")]
    # the largest rate that is not refused
    options = ["model.optim.lr=1000", "trainer.gradient_clip_val=null", "callbacks.divergence.patience=10"]
    assert main(["--config", str(recipe), *small, *options, "trainer.accelerator=cpu", "name=wild"]) == 3
    assert results("wild")["status"] == "diverged" and results("wild")["rollbacks"] == 2
    for path in Path("runs/wild/version_0/checkpoints").glob("*.ckpt"):
        assert all(value.isfinite().all() for value in read_checkpoint(path)["state_dict"].values())


def test_a_return_goes_on_as_from_the_copy():
    """Half the rate from a copy equals a training that had half the rate after that step."""

    def training(module):
        optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))

    def step(module, optimizer, schedule):
        optimizer.zero_grad()
        module(torch.ones(2, 3)).square().sum().backward()
        optimizer.step()
        schedule.step()

    torch.manual_seed(0)
    module = nn.Linear(3, 1)
    optimizer, schedule = training(module)
    good = GoodState()
    assert not good
    for _ in range(3):
        step(module, optimizer, schedule)
    good.keep([module, optimizer])
    moments = deepcopy(optimizer.state_dict()["state"])
    weights = {name: part.clone() for name, part in module.state_dict().items()}
    for _ in range(2):
        step(module, optimizer, schedule)
    good.restore([module, optimizer], [schedule])
    assert all(torch.equal(part, weights[name]) for name, part in module.state_dict().items())
    for number, part in optimizer.state_dict()["state"].items():
        assert all(torch.equal(x, moments[number][n]) for n, x in part.items())
    step(module, optimizer, schedule)
    # After six steps of the schedule its rate is half of what it would have been.
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05 / 7)


def test_validation_worse_than_zero_twice_running_once_it_was_better():
    def metrics(error):
        return {"val/a/epe": error, "reference/val/a/zero_flow_epe": 2.0, "val/a/residual": 1.0}

    watch = LossWatch(20.0, 50, 200)
    errors = [3.0, 3.0, 3.0, 1.0, 3.0, 1.9, 3.0, math.nan]
    reasons = [watch.validation_reason(metrics(error)) is not None for error in errors]
    assert reasons == [False] * 7 + [True]
    assert watch.validation_reason({"val/loss": 3.0}) is None


def test_the_first_batch_of_a_loader_must_lie_in_the_unit_range():
    image = torch.rand(1, 3, 8, 8)
    batch = {
        "image1": 255 * image / image.max(), "image2": image, "flow": torch.zeros(1, 2, 8, 8),
        "valid": torch.ones(1, 8, 8).bool(), "name": ["a"], "dataset": ["own"], "padding": ["sintel"],
    }  # fmt: skip
    with pytest.raises(
        InputError, match=r"image1: floats must lie in \[0, 1\], got .* to 255; divide by 255"
    ):
        complete(batch, 0, truth=True)
    batch["image1"] = image
    assert complete(batch, 0, truth=True)["name"] == ["a"]
