"""What trackers have of a run of every family: scalars, pictures, the page; the same run after a resume."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from studies import settings as study_settings

from sevenfold.run_files import read_identity
from train import main

ROOT = Path(__file__).resolve().parents[1]
FLOW = [
    "--config", str(ROOT / "configs/flow/demo.yaml"), "trainer.max_epochs=1", "trainer.limit_train_batches=2",
    "data.crop=32", "data.train_pairs=4", "data.workers=0", "data.evaluation.size=32",
    "data.evaluation.val_pairs=2", "data.evaluation.test_pairs=2", "callbacks.progress=null",
    "model.evaluation={iterations: 2, budgets: []}", "trainer.log_every_n_steps=1",
]  # fmt: skip
FAMILIES = {
    "flow": FLOW,
    "nas": study_settings("nas_search"),
    "fairness": study_settings("debias"),
    "diffreps": study_settings("samples"),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder without an account."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "SEVENFOLD_RUN_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.chdir(tmp_path)


def finite(folder: Path) -> dict[str, float]:
    """Return the numbers of a run's ``results.json``."""
    content = json.loads((folder / "results.json").read_text())
    assert content["status"] == "finished"
    numbers = {**content["metrics"], **content["reference"]}
    return {name: value for name, value in numbers.items() if isinstance(value, int | float)}


def wandb_runs(folder: Path) -> list[Path]:
    import wandb

    wandb.finish()
    return sorted((folder / "wandb").glob("offline-run-*"))


def wandb_summary(run: Path) -> dict[str, Any]:
    """Return the summary as W&B's own program reads it from the run's file."""
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(run)],
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return flat_summary(json.loads(done.stdout))


def flat_summary(content: Any) -> dict[str, Any]:
    """Return the summary's entries from what ``leet inspect`` prints."""
    return content.get("summary", content)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_trackers_have_what_the_run_folder_has(family: str) -> None:
    assert main([*FAMILIES[family], "name=run", "logger.wandb={}", "logger.tensorboard={}"]) == 0
    folder = Path("runs/run/version_0")
    numbers = finite(folder)
    assert numbers
    (run,) = wandb_runs(folder)
    summary = wandb_summary(run)
    missing = {name: value for name, value in numbers.items() if summary.get(name) != pytest.approx(value)}
    assert not missing
    assert list((run / "files/media/images").rglob("*.png")), "a picture"
    assert run.name.endswith(str(read_identity(folder)["wandb"]))
    assert b"report.html" in next(run.glob("*.wandb")).read_bytes(), "the page"

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scalars: dict[str, float] = {}
    images: list[str] = []
    for path in (folder / "tensorboard").rglob("events.out.tfevents*"):
        events = EventAccumulator(str(path)).Reload()
        scalars |= {tag: events.Scalars(tag)[-1].value for tag in events.Tags()["scalars"]}
        images += events.Tags()["images"]
    assert {name: scalars.get(f"final/{name}") for name in numbers} == pytest.approx(numbers, rel=1e-5)
    assert images


def test_a_resumed_run_goes_on_in_the_same_wandb_run(toy_config: Path) -> None:
    cut = ["--config", str(toy_config), "logger.wandb={project: p}", "model.stop_with=15"]
    assert main(cut) == 143
    folder = Path("runs/toy/version_0")
    first = read_identity(folder)["wandb"]
    assert len(wandb_runs(folder)) == 1
    assert main([*cut, "--resume=must"]) == 0
    assert read_identity(folder)["wandb"] == first
    # offline-run-TIME-ID, with a number behind it where there are two in a second
    assert {run.name.split("-")[3] for run in wandb_runs(folder)} == {first}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow itself, of its database
def test_mlflow_has_scalars_configuration_and_page(toy_study: Path) -> None:
    pytest.importorskip("mlflow")
    assert main(["--config", str(toy_study), "logger.mlflow={experiment: e}"]) == 0
    folder = Path("runs/toy/version_0").absolute()
    from mlflow.tracking import MlflowClient

    run = MlflowClient(f"sqlite:///{folder}/mlflow.db").get_run(read_identity(folder)["mlflow"])
    assert {name: run.data.metrics[name] for name in finite(folder)} == pytest.approx(finite(folder))
    assert run.data.params["study.name"] == "toy"


@pytest.mark.parametrize("broken", ["log_metrics", "finalize"])
def test_a_tracker_that_fails_at_the_end_is_a_warning(
    toy_study: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytorch_lightning.loggers import TensorBoardLogger

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(TensorBoardLogger, broken, fail)
    with pytest.warns(UserWarning, match="no route to host"):
        assert main(["--config", str(toy_study), "logger.tensorboard={}"]) == 0
    assert json.loads(Path("runs/toy/version_0/results.json").read_text())["status"] == "finished"
    assert Path("runs/toy/version_0/report.html").is_file()


def test_a_tracker_that_does_not_take_the_results_is_a_warning(
    toy_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import callbacks.trackers

    def fail(*_: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(callbacks.trackers, "_to_tensorboard", fail)
    with pytest.warns(UserWarning, match="TensorBoardLogger did not take the results .*Read-only"):
        assert main(["--config", str(toy_study), "logger.tensorboard={}"]) == 0
    assert json.loads(Path("runs/toy/version_0/results.json").read_text())["status"] == "finished"


def test_wandb_online_without_an_account_is_one_line(
    toy_config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    assert main(["--config", str(toy_config), "logger.wandb={mode: online}"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: logger.wandb.mode: W&B cannot be used") and "mode=offline" in error
    assert not list(Path("runs").rglob("config.yaml"))
