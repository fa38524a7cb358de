"""The command line: settings in every form, traps, and speed."""

import subprocess
import sys
from pathlib import Path

import pytest

from sevenfold.command import parse

ROOT = Path(__file__).resolve().parents[1]


def test_settings_may_stand_anywhere_and_hold_spaces() -> None:
    command = parse(["fit", "a.b=1", "--config", "x.yaml", "--model.betas=[0.8, 0.9]", "c=None"])
    assert command.verb == "fit" and command.configs == ("x.yaml",)
    assert command.settings == ("a.b=1", "--model.betas=[0.8, 0.9]", "c=None")


@pytest.mark.parametrize("form", [["--ckpt", "epoch=1-step=16.ckpt"], ["--ckpt=epoch=1-step=16.ckpt"]])
def test_a_checkpoint_name_with_equal_signs_is_a_file(form: list[str]) -> None:
    command = parse(["test", *form])
    assert command.ckpt == "epoch=1-step=16.ckpt" and command.settings == ()


@pytest.mark.parametrize(
    "words",
    [["fly"], [], ["fit"], ["sweep"], ["--confg", "x"], ["fit", "x.yaml"], ["--config", "x", "--jobs", "2"],
     ["sweep", "x.yaml", "--count", "0"]],
)  # fmt: skip
def test_misuse_ends_with_status_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(words)
    assert caught.value.code == 2 and "error:" in capsys.readouterr().err


def test_sweep_takes_a_file_and_passes_settings_on() -> None:
    command = parse(["sweep", "s.yaml", "--jobs", "2", "--count=5", "trainer.max_epochs=1"])
    assert (command.topic, command.jobs, command.count) == ("s.yaml", 2, 5)
    assert command.settings == ("trainer.max_epochs=1",)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--config", "configs/flow/demo.yaml", "--print-config", "--short"]]
)
def test_help_and_print_config_import_no_torch(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "train.py", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout
    imported = {
        line.split("|")[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time")
    }
    assert not imported & {"torch", "pytorch_lightning", "wandb", "numpy", "sevenfold.checkpoint"}


@pytest.mark.parametrize(
    "words", [["--only", "data.arms=a,b 2"], ["--only=data.arms=a,b 2"], ["--only", "data.arms=a, b 2"]]
)
def test_only_is_a_setting_of_labels(words: list[str]) -> None:
    command = parse(["--config", "x.yaml", *words, "seed=1"])
    assert command.settings == ("seed=1", "data.arms._only=['a', 'b 2']")


@pytest.mark.parametrize("text", ["data.arms", "=a", "data.arms=", "data.arms=a,,b", "data.arms=[a]"])
def test_only_that_names_no_label_is_refused(text: str) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--config", "x.yaml", "--only", text])
    assert caught.value.code == 2


def test_indices_belong_to_settings() -> None:
    assert parse(["--config", "x", "a[0].b=1", "--a.b[12]=2"]).settings == ("a[0].b=1", "--a.b[12]=2")
