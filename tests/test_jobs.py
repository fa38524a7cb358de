"""Jobs on a cluster: signals, requeueing, kills, damage, divergence, destinations.

Runs happen in this process, which sends itself real signals; ``test_job_processes.py`` starts others.
"""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from jobs import assert_equal, flat, last, results

from callbacks.signals import SIGNALS
from sevenfold.checkpoint import read_checkpoint
from sevenfold.errors import InputError
from sevenfold.records import read_folder
from train import main

Fit = Callable[..., int]


def test_a_run_gives_the_signals_back(fit: Fit) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    assert fit() == 0
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_a_signal_in_the_first_epoch_leaves_a_checkpoint_and_resume_goes_on(
    fit: Fit, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit("name=whole") == 0
    cut = ["name=cut", f"model.stop_with={int(number)}"]
    assert fit(*cut) == 128 + number
    assert signal.Signals(number).name in capsys.readouterr().out
    assert results("cut")["status"] == "interrupted"
    assert (state := read_checkpoint(last("cut")))["epoch"] == 0 and state["global_step"] == 2
    assert fit(*cut, "--resume=must") == 0
    assert_equal(last("cut"), last("whole"))
    assert results("cut")["metrics"] == results("whole")["metrics"] and results("cut")["status"] == "finished"
    assert fit(*cut, "--resume=must") == 2, "it has finished"
    assert not Path("runs/cut/version_1").exists()


@pytest.mark.parametrize(
    "settings",
    [
        ["model.kind=noisy"],
        ["model.kind=global", "callbacks.ema={decay: 0.9, use_buffers: true}"],
        ["model.kind=global", "trainer.accumulate_grad_batches=2", "data.size=24"],
        ["trainer.val_check_interval=2"],
        *(
            pytest.param(settings, marks=pytest.mark.slow)
            for settings in (
                ["model.kind=global"],
                ["trainer.accumulate_grad_batches=4", "data.size=24"],
                ["model.kind=global", "data.workers=2"],
                ["data.size=18"],
            )
        ),
    ],
    ids=lambda settings: " ".join(settings),
)
def test_going_on_is_exact_wherever_a_run_was_cut(fit: Fit, settings: list[str]) -> None:
    """In the first batch of all, in the last one of an epoch, and in the middle of a later one."""
    settings = [*settings, "trainer.max_epochs=4", "trainer.log_every_n_steps=1"]
    assert fit("name=whole", *settings) == 0
    whole, steps = results("whole")["metrics"], read_checkpoint(last("whole"))["global_step"]
    for step in (0, 3, 9):
        name = f"cut{step}"
        cut = [f"name={name}", "model.stop_with=15", f"model.stop_at={min(step, steps - 1)}", *settings]
        assert fit(*cut) == 143
        more = read_checkpoint(last(name))["global_step"] < steps
        assert fit(*cut, "--resume=must") == 0
        assert_equal(last(name), last("whole"))
        metrics = results(name)["metrics"]
        assert metrics.items() <= whole.items() and "test/loss" in metrics
        assert metrics == whole or not more, "all of them, unless only the test was left"


def test_a_cut_before_the_first_batch_after_another_loses_nothing(
    fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    import toy

    assert fit("name=whole") == 0
    cut = ["name=cut", "model.stop_with=15", "model.stop_at=5"]
    assert fit(*cut) == 143

    def save_and_die(self: toy.ToyModule) -> None:
        self.trainer.save_checkpoint(last("cut"))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(toy.ToyModule, "on_train_start", save_and_die)
        assert fit(*cut, "--resume=must") == 130
    assert fit(*cut, "--resume=must") == 0
    assert_equal(last("cut"), last("whole"))


def test_a_checkpoint_of_an_epochs_end_goes_on_exactly(run_toy: Callable[..., Path]) -> None:
    settings = ["trainer.max_epochs=4", "model.kind=global"]
    whole = run_toy(*settings, "callbacks.checkpoint={save_top_k: -1, filename: '{epoch}'}")
    for epoch in range(3):
        checkpoint = whole / f"checkpoints/epoch={epoch}.ckpt"
        resumed = run_toy("--ckpt", str(checkpoint), "trainer.max_epochs=4", config=False)
        assert_equal(resumed / "checkpoints/last.ckpt", whole / "checkpoints/last.ckpt")


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a job that ``srun`` started with one task; the file in which scontrol's calls go."""
    calls, programs = tmp_path / "calls", tmp_path / "bin"
    programs.mkdir()
    (programs / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> "{calls}"\n')
    (programs / "scontrol").chmod(0o755)
    job = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "SLURM_JOB_ID": "4711", "SLURM_NTASKS": "1",
        "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NAME": "train",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "12910",
    }  # fmt: skip
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    return calls


def test_a_slurm_job_is_requeued_before_its_time_is_up_and_goes_on(fit: Fit, slurm: Path) -> None:
    cut = ["name=cut", f"model.stop_with={int(signal.SIGUSR1)}", "model.stop_at=5", "model.kind=global"]
    assert fit(*cut) == 128 + signal.SIGUSR1
    assert slurm.read_text() == "requeue 4711\n" and results("cut")["status"] == "interrupted"
    assert fit(*cut) == 0, "the same job, without a word of resuming"
    assert [path.name for path in Path("runs/cut").iterdir()] == ["version_0"]
    assert slurm.read_text() == "requeue 4711\n" and not list(Path().rglob("hpc_ckpt*"))
    assert fit("name=whole", "model.kind=global") == 0
    assert_equal(last("cut"), last("whole"))


def test_a_task_of_a_slurm_array_is_requeued_by_its_own_name(
    fit: Fit, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "4700")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert fit("name=cut", f"model.stop_with={int(signal.SIGUSR1)}") == 128 + signal.SIGUSR1
    assert slurm.read_text() == "requeue 4700_3\n"


def test_a_cancelled_slurm_job_leaves_a_checkpoint_and_is_not_requeued(fit: Fit, slurm: Path) -> None:
    assert fit("name=cut", "model.stop_with=15") == 143
    assert read_checkpoint(last("cut"))["global_step"] == 2 and not slurm.exists()


def test_a_study_ends_after_the_piece_in_hand(toy_study: Path) -> None:
    run = ["--config", str(toy_study)]
    assert main([*run, "name=whole"]) == 0
    cut = [*run, "name=cut", "study.stop_with=15"]
    assert main(cut) == 143
    assert [r["key"] for r in read_folder("runs/cut/version_0/records")] == ["000", "001", "002"]
    assert results("cut")["status"] == "interrupted"
    assert main(cut) == 0 and not Path("runs/cut/version_1").exists()
    assert read_folder("runs/cut/version_0/records") == read_folder("runs/whole/version_0/records")
    assert results("cut")["metrics"] == results("whole")["metrics"]


@pytest.mark.parametrize(
    ("verb", "step"), [("test", "test_step"), ("validate", "validation_step"), ("predict", "predict_step")]
)
def test_an_evaluation_ends_after_the_batch(
    fit: Fit, verb: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import toy

    def stop(self: toy.ToyModule, batch: Any, index: int) -> torch.Tensor:
        assert index == 0
        os.kill(os.getpid(), signal.SIGTERM)
        return torch.zeros(())

    monkeypatch.setattr(toy.ToyModule, step, stop)
    assert fit(verb, "--untrained") == 143
    assert results("toy")["status"] == "interrupted"


# Checkpoints --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small checkpoint like those of a run."""
    path = tmp_path_factory.mktemp("checkpoint") / "last.ckpt"
    layer = torch.nn.Linear(40, 5)
    torch.save({"state_dict": layer.state_dict(), "epoch": 1, "config": {"name": "a", "rate": 0.5}}, path)
    return path.read_bytes()


def test_a_flipped_bit_is_refused_or_harmless(checkpoint: bytes, tmp_path: Path) -> None:
    rng, path, refused = random.Random(0), tmp_path / "last.ckpt", 0
    path.write_bytes(checkpoint)
    whole = flat(read_checkpoint(path))
    bits = 8 * len(checkpoint)
    for place in [rng.randrange(bits) for _ in range(60)] + list(range(0, bits, max(1, bits // 300))):
        damaged = bytearray(checkpoint)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            assert flat(read_checkpoint(path)) == whole, f"bit {place} changes the content in silence"
        except InputError as error:
            assert "last.ckpt" in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 60


def test_a_cut_checkpoint_is_refused_at_any_length(checkpoint: bytes, tmp_path: Path) -> None:
    rng, path = random.Random(0), tmp_path / "last.ckpt"
    for length in [0, 1, len(checkpoint) - 1, *(rng.randrange(len(checkpoint)) for _ in range(60))]:
        path.write_bytes(checkpoint[:length])
        with pytest.raises(InputError, match=r"last\.ckpt") as caught:
            read_checkpoint(path)
        assert "\n" not in str(caught.value)


PARTS = ("optimizer_states", "loops", "state_dict", "pytorch-lightning_version", "callbacks",
         "lr_schedulers", "epoch", "global_step", "config", "resumption")  # fmt: skip
NEEDED = {"fit": {*PARTS} - {"callbacks", "config", "resumption"},
          "test": {"state_dict", "pytorch-lightning_version"}}  # fmt: skip


@pytest.mark.parametrize("missing", PARTS)
@pytest.mark.parametrize("verb", ["fit", "test"])
def test_a_stripped_checkpoint_is_used_or_explained(
    fit: Fit, verb: str, missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit("name=whole", "trainer.max_epochs=1") == 0
    state = read_checkpoint(last("whole"))
    state.pop(missing)
    torch.save(state, path := tmp_path / "stripped.ckpt")
    capsys.readouterr()
    status = fit(verb, "name=more", "--ckpt", str(path))
    error = capsys.readouterr().err.strip()
    assert status == (2 if missing in NEEDED[verb] else 0)
    if status == 2:
        assert error.startswith("error: ") and error.count("\n") == 0 and "stripped.ckpt" in error
        assert not Path("runs/more").exists()


def test_a_damaged_checkpoint_of_a_resumed_run_is_one_line(
    fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = ["name=cut", "model.stop_with=15"]
    assert fit(*cut) == 143
    content = bytearray(last("cut").read_bytes())
    content[content.index(b"data/0") + 80] ^= 1
    last("cut").write_bytes(content)
    capsys.readouterr()
    assert fit(*cut, "--resume") == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "last.ckpt' is damaged" in error and error.count("\n") == 0
    assert results("cut")["status"] == "interrupted" and last("cut").read_bytes() == content


# Divergence ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["nan", "explode", "weight"])
def test_a_diverged_training_ends_with_its_last_finite_checkpoint(
    fit: Fit, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"model.fault={fault}", "trainer.max_epochs=40", "callbacks.divergence.patience=20"]
    assert fit(*settings) == 3
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: training diverged at step ") and error.count("\n") == 0
    assert str(last("toy").absolute()) in error
    assert results("toy")["status"] == "diverged"
    state = read_checkpoint(last("toy"))
    assert state["global_step"] >= 4
    assert all(value.isfinite().all() for value in state["state_dict"].values())
    if fault == "explode":
        assert state["global_step"] <= 6 + 3 * 24  # rolled back twice before it ends
    others = [read_checkpoint(path) for path in last("toy").parent.glob("epoch=*.ckpt")]
    assert all(value.isfinite().all() for other in others for value in other["state_dict"].values())


def test_a_fit_that_is_noisy_has_not_diverged(fit: Fit) -> None:
    assert fit("model.kind=global", "model.optim.lr=1.0", "trainer.max_epochs=10") == 0


# Destinations -------------------------------------------------------------------------------------


def test_a_checkpoint_says_nothing_of_where_to_write(fit: Fit, tmp_path: Path) -> None:
    assert fit("trainer.max_epochs=1") == 0
    state = read_checkpoint(last("toy"))
    evil = tmp_path / "evil"
    state["config"] |= {"name": "../../evil", "output_dir": str(evil), "tags": ["x"]}
    state["config"]["logger"] = {"csv": {}, "tensorboard": {}}
    state["config"]["callbacks"]["checkpoint"] |= {"dirpath": str(evil), "filename": f"{evil}/x"}
    state["config"]["trainer"]["default_root_dir"] = str(evil)
    torch.save(state, given := tmp_path / "given.ckpt")
    assert main(["test", "--ckpt", str(given)]) == 2, "default_root_dir is no option of the trainer's"
    del state["config"]["trainer"]["default_root_dir"]
    torch.save(state, given)
    assert main(["test", "--ckpt", str(given)]) == main(["--ckpt", str(given), "trainer.max_epochs=2"]) == 0
    assert not evil.exists() and not list(tmp_path.parent.glob("evil*"))
    assert sorted(path.name for path in Path("runs").iterdir()) == ["given", "toy"]
    assert not list(Path("runs/given").rglob("*tfevents*"))
    assert (Path("runs/given/version_1/checkpoints/last.ckpt")).is_file()


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/tmp/evil", "a/", "/", "..", ".", "a\\nb", "a\\u0007", "a//b", "''"]
)
def test_a_name_that_is_none_is_one_line(
    fit: Fit, toy_config: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    value = f'name="{name}"' if name != "''" else "name=''"
    assert fit(value) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: name") and error.count("\n") == 1
    assert list(toy_config.parent.iterdir()) == [toy_config]
