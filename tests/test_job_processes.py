"""Jobs as processes of their own: kills, exit statuses, several ranks."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from jobs import assert_equal, last, results

from callbacks.signals import SIGNALS
from sevenfold.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parents[1]
TOTAL = 600  # seconds after which a process that should have ended is given up
Fit = Callable[..., int]


def toy_process(*arguments: str, **more: str) -> subprocess.Popen[str]:
    """Start the toy as a process of its own."""
    rest = {key: value for key, value in os.environ.items() if key != "SEVENFOLD_RUN_FOLDER"}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tests/toy_train.py"), *arguments],
        env={**rest, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **more},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a process; return its status and output. Nothing of its session is left over."""
    try:
        output, _ = process.communicate(timeout=TOTAL)
        return process.returncode, output
    finally:
        kill_session(process)


def kill_session(process: subprocess.Popen[str]) -> bool:
    """Kill what is left of a process's session; tell whether there was anything."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_a_hundred_steps_are_thirty_seven_a_kill_and_the_rest(fit: Fit, toy_config: Path) -> None:
    long = ["data.size=80", "trainer.max_epochs=5", "model.kind=global", "callbacks.ema={decay: 0.9}"]
    assert fit("name=whole", *long) == 0
    cut = ["--config", str(toy_config), "name=cut", "model.stop_with=9", "model.stop_at=37", *long]
    cut.append("checkpoint_minutes=1e-9")  # after every step
    status, output = ended(toy_process(*cut))
    assert status == -signal.SIGKILL, output
    assert (
        read_checkpoint(last("cut"))["global_step"] == 37
        and not Path("runs/cut/version_0/results.json").exists()
    )
    assert (Path("runs/cut/version_0/run.lock")).exists(), "nobody was there to give it back"
    status, output = ended(toy_process(*cut, "--resume=must", TOY_SPARED="yes"))
    assert status == 0, output
    assert read_checkpoint(last("cut"))["global_step"] == 100
    assert_equal(last("cut"), last("whole"))


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_the_exit_status_of_a_process_says_what_ended_it(toy_config: Path, number: int) -> None:
    long = ["--config", str(toy_config), "trainer.max_epochs=1000", "data.pause=0.02"]
    process = toy_process(*long)
    try:
        until(lambda: last("toy").exists() or process.poll() is not None)
        process.send_signal(number)
        assert ended(process)[0] == 128 + number
    finally:
        kill_session(process)
    assert results("toy")["status"] == "interrupted"


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TOTAL
    while not condition():
        assert time.monotonic() < end, "the run did not come that far"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.distributed
def test_two_ranks_end_together_and_go_on_together(fit: Fit, toy_config: Path) -> None:
    two = ["trainer.devices=2", "trainer.strategy=ddp"]
    cut = ["--config", str(toy_config), "name=cut", "trainer.max_epochs=1000", "data.pause=0.02", *two]
    process = toy_process(*cut)
    try:
        until(lambda: last("cut").exists() or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=TOTAL)
        assert process.returncode == 143, output
        until_gone(process)
    finally:
        kill_session(process)
    step = read_checkpoint(last("cut"))["global_step"]
    assert results("cut")["status"] == "interrupted" and step > 0
    state = read_checkpoint(last("cut"))
    assert state["config"]["trainer"]["devices"] == 2
    process = toy_process(*cut, "--resume=must")
    try:
        until(lambda: process.poll() is not None or read_checkpoint(last("cut"))["global_step"] > step + 8)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=TOTAL)
        assert process.returncode == 143, output
        until_gone(process)
    finally:
        kill_session(process)
    assert not Path("runs/cut/version_1").exists()


def until_gone(process: subprocess.Popen[str]) -> None:
    """Wait until no process of the session is left; those that a dead parent leaves would stay."""
    until(lambda: not session(process.pid))


def session(leader: int) -> list[str]:
    listing = subprocess.run(
        ["ps", "-o", "pid=,stat=,args=", "-g", str(leader)], capture_output=True, text=True
    )
    return [line for line in listing.stdout.splitlines() if line.split()[1][0] != "Z"]


SMALL_FLOW = [
    "data.crop=32", "data.train_pairs=4", "data.workers=0", "data.batch_size=1", "data.evaluation.size=32",
    "data.evaluation.val_pairs=2", "data.evaluation.test_pairs=2", "callbacks.flow_images=null",
    "model.evaluation={iterations: 2, budgets: []}",
]  # fmt: skip
FITS = {
    "flow/demo": SMALL_FLOW,
    "nas/predictor_mlp": [],
    "fairness/base_adult": ["data={name: fairness_rows, source: {name: synthetic, n: 400}, protected: a}"],
    "fairness/base_images": [],
    "diffreps/train_unet_digits": [],
}
"""Fit recipes that may use several devices; surrogates of curves are made once, on one."""


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("recipe", FITS)
def test_two_ranks_train_every_fit_module(recipe: str, tmp_path: Path) -> None:
    if recipe == "diffreps/train_unet_digits":
        pytest.importorskip("diffusers")
    settings = [
        "trainer.max_epochs=1", "trainer.limit_train_batches=2", "trainer.limit_val_batches=1",
        "trainer.limit_test_batches=1", "trainer.accelerator=cpu", "trainer.devices=2",
        "trainer.strategy=ddp", "callbacks.progress=null", "name=two", *FITS[recipe],
    ]  # fmt: skip
    rest = {key: value for key, value in os.environ.items() if key != "SEVENFOLD_RUN_FOLDER"}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), "--config", str(ROOT / f"configs/{recipe}.yaml"), *settings],
        cwd=tmp_path, env={**rest, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip
    status, output = ended(process)
    assert status == 0, output[-3000:]
    content = json.loads((tmp_path / "runs/two/version_0/results.json").read_text())
    assert content["status"] == "finished" and content["metrics"]
