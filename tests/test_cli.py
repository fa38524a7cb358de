"""Whole runs through ``train.py``: folders, results, resuming, and mistakes."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.utils.data import DataLoader

from sevenfold.checkpoint import read_checkpoint
from sevenfold.errors import InputError
from sevenfold.records import read_folder
from train import main

Run = Callable[..., Path]


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / "checkpoints/last.ckpt")["state_dict"]


def test_a_fit_leaves_a_whole_run_folder(run_toy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_toy()
    found = results(folder)
    assert (found["name"], found["verb"], found["status"]) == ("toy", "fit", "finished")
    assert found["metrics"]["test/loss"] < found["reference"]["test/zero_loss"]
    assert {"train/loss", "val/loss"} <= set(found["metrics"])
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["packages"]["torch"] and environment["devices"] == ["cpu"]
    with open(folder / "metrics.csv") as file:
        assert any(row["val/loss"] for row in csv.DictReader(file))
    assert "test/loss" in capsys.readouterr().out


def test_the_saved_configuration_reproduces_the_run(run_toy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    first = run_toy("seed=3", "model.optim.lr=0.02")
    assert main(["--config", str(first / "config.yaml")]) == 0
    second = first.parent / "version_1"
    assert results(second)["metrics"] == results(first)["metrics"]
    assert yaml.safe_load((first / "config.yaml").read_text())["model"]["optim"] == {"lr": 0.02}


@pytest.mark.parametrize("kind", ["plain", "noisy"])
@pytest.mark.parametrize("ema", [False, True])
def test_resumed_training_equals_uninterrupted(run_toy: Run, kind: str, ema: bool) -> None:
    settings = [
        f"model.kind={kind}",
        *(["callbacks.ema.decay=0.9", "callbacks.ema.use_buffers=true"] if ema else []),
    ]
    straight = run_toy("trainer.max_epochs=4", *settings)
    half = run_toy("trainer.max_epochs=2", *settings)
    resumed = run_toy("--ckpt", str(half / "checkpoints/last.ckpt"), "trainer.max_epochs=4", config=False)
    assert resumed not in (half, straight)
    for name, value in weights(straight).items():
        assert torch.equal(value, weights(resumed)[name])
    assert not torch.equal(weights(half)["linear.weight"], weights(straight)["linear.weight"])
    assert results(resumed)["metrics"]["test/loss"] == results(straight)["metrics"]["test/loss"]


def test_a_checkpoint_alone_evaluates(run_toy: Run) -> None:
    trained = run_toy()
    checkpoint = next((trained / "checkpoints").glob("epoch=*.ckpt"))
    tested = run_toy("test", "--ckpt", str(checkpoint), config=False)
    assert tested != trained and results(tested)["verb"] == "test"
    assert results(tested)["metrics"]["test/loss"] == pytest.approx(results(trained)["metrics"]["test/loss"])
    assert "val/loss" in results(run_toy("validate", "--ckpt", str(checkpoint), config=False))["metrics"]


def test_a_study_records_trials_and_continues_after_a_kill(toy_study: Path) -> None:
    arguments, runs = ["--config", str(toy_study)], toy_study.parent / "runs/toy"
    assert main(arguments) == main(arguments) == 0, "a finished run is not continued"
    whole, again = runs / "version_0", runs / "version_1"
    records = read_folder(whole / "records")
    assert [record["key"] for record in records] == [f"{trial:03d}" for trial in range(6)]
    assert results(whole)["metrics"]["draw/value/n"] == 6 and (whole / "report.html").is_file()

    # as a kill would leave it: records of three trials, the last one cut short
    (again / "results.json").unlink()
    lines = (again / "records/records.jsonl").read_text().splitlines(keepends=True)
    (again / "records/records.jsonl").unlink()
    (again / "records/rank_0.jsonl").write_text("".join(lines[:3])[:-7])
    assert main(arguments) == 0 and not (runs / "version_2").exists()
    assert read_folder(again / "records") == records
    assert results(again)["metrics"] == results(whole)["metrics"]


@pytest.mark.parametrize("verb", ["test", "validate", "predict"])
def test_nothing_is_evaluated_without_weights_by_accident(
    verb: str, toy_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--config", str(toy_config)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {verb}: no trained weights") and error.count("\n") == 1
    assert "--untrained" in error and list(toy_config.parent.iterdir()) == [toy_config]
    if verb != "predict":  # the toy predicts nothing
        assert main([verb, "--config", str(toy_config), "--untrained"]) == 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("modle.width=3", "modle: unknown key. Did you mean 'model'?"),
        ("model.widht=3", "model.widht: unknown key. Did you mean 'width'?"),
        ("model.optim.lrr=3", "model.optim.lrr: key 'lrr' not in 'Optim'. Did you mean: 'lr'?"),
        ("model.solver.stpes=3", "model.solver.stpes: unknown key. Did you mean 'steps'?"),
        ("model.solver.name=shrunk", "model.solver.name: 'shrunk' is not known. Did you mean 'shrink'?"),
        ("model.solver.tol=-1", "model.solver.tol: must be positive, got -1"),
        ("model.name=toi", "model.name: 'toi' is not known. Did you mean 'toy'?"),
        ("data.widht=3", "data.widht: unknown key. Did you mean 'width'?"),
        ("trainer.max_epoch=3", "trainer.max_epoch: unknown key. Did you mean 'max_epochs'?"),
        ("trainer.max_epochs=many", "trainer.max_epochs: value 'many'"),
        (
            "callbacks.checkpoint.save_lst=true",
            "callbacks.checkpoint.save_lst: unknown key. Did you mean 'save_last'",
        ),
        ("callbacks.chekpoint.save_last=true", "callbacks.chekpoint.name: 'chekpoint' is not known"),
        ("logger.wandb.projct=x", "logger.wandb.projct: unknown key. Did you mean 'project'?"),
        ("trainer.accelerator=abacus", "abacus"),
    ],
)
def test_a_mistake_ends_in_one_line_and_writes_nothing(
    toy_config: Path, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    assert main(["--config", str(toy_config), setting]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert list(toy_config.parent.iterdir()) == [toy_config]


def test_checkpoints_that_do_not_fit_are_explained(
    run_toy: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = run_toy() / "checkpoints/last.ckpt"
    cases = {
        str(tmp_path / "absent.ckpt"): "does not exist",
        "https://example.org/a.ckpt": "remote address",
    }
    (cut := tmp_path / "cut.ckpt").write_bytes(checkpoint.read_bytes()[:500])
    torch.save({"state_dict": {}}, foreign := tmp_path / "foreign.ckpt")
    torch.save({"state_dict": {}, "config": Path("x")}, rich := tmp_path / "rich.ckpt")
    cases |= {str(cut): "no readable checkpoint", str(foreign): "no configuration", str(rich): "no readable"}
    for path, message in cases.items():
        assert main(["test", "--ckpt", path]) == 2
        assert message in capsys.readouterr().err
    assert main(["test", "--ckpt", str(checkpoint), "model.width=5", "data.width=5"]) == 2
    assert (
        "checkpoint of another model: linear.weight is (1, 4), the model's is (1, 5)"
        in capsys.readouterr().err
    )


def test_bad_input_met_by_a_worker_is_one_line(
    run_toy: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import toy

    def broken(*_: Any) -> None:
        raise InputError("'a.png' is truncated; copy it again")

    def loader(self: toy.ToyData) -> DataLoader:
        return DataLoader(toy.Points(4, 8), 4, num_workers=1)

    monkeypatch.setattr(toy.Points, "__getitem__", broken)
    monkeypatch.setattr(toy.ToyData, "test_dataloader", loader)
    with pytest.raises(AssertionError):
        run_toy("test", "--untrained")
    assert capsys.readouterr().err.strip().endswith("error: 'a.png' is truncated; copy it again")


def test_a_verb_the_data_cannot_serve_is_one_line(
    run_toy: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import toy

    monkeypatch.delattr(toy.ToyData, "train_dataloader")
    with pytest.raises(AssertionError):
        run_toy()
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and "train_dataloader" in error


def test_failures_leave_their_status(run_toy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import toy

    def explode(*_: Any) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(toy.ToyModule, "validation_step", explode)
    with pytest.raises(RuntimeError, match="boom"):
        run_toy()
    assert json.loads(Path("runs/toy/version_0/results.json").read_text())["status"] == "failed"


def test_a_full_disk_is_one_line(run_toy: Run, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import sevenfold.files

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "config.yaml")

    monkeypatch.setattr(sevenfold.files.os, "fsync", full)
    with pytest.raises(AssertionError):
        run_toy()
    assert (
        capsys.readouterr().err.strip().endswith("error: [Errno 28] No space left on device: 'config.yaml'")
    )
    assert not list(Path("runs/toy/version_0").glob("*.yaml")) and not list(
        Path("runs/toy/version_0").glob(".*")
    )
