"""Fixtures shared by all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

ROOT = Path(__file__).resolve().parents[1]


DEVICES = ["cpu", *([pytest.param("cuda", marks=pytest.mark.gpu)] if torch.cuda.is_available() else [])]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """The processor and, where there is one, the first CUDA device, there in full float32."""
    place = torch.device(request.param)
    if place.type == "cuda":
        monkeypatch.setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee")
        monkeypatch.setattr(torch.backends.cuda.matmul, "fp32_precision", "ieee")
    return place


@pytest.fixture
def toy_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of the toy family, its parts in the tables, all output under ``tmp_path``."""
    from datamodules import DATAMODULES
    from lightning_modules import MODELS
    from sevenfold.studies import STUDIES

    monkeypatch.setitem(MODELS, "toy", "toy:ToyModule")
    monkeypatch.setitem(DATAMODULES, "toy", "toy:ToyData")
    monkeypatch.setitem(STUDIES, "toy", "toy:Draws")
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "toy.yaml"
    content = {
        "base": str(ROOT / "configs/base/trainer.yaml"),
        "model": {"name": "toy"},
        "data": {"name": "toy"},
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 2,
            "enable_model_summary": False,
            "deterministic": True,
        },
        "callbacks": {"progress": None},
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def toy_study(toy_config: Path) -> Path:
    """A configuration of the toy study, beside ``toy_config``."""
    path = toy_config.with_name("draws.yaml")
    content = {
        "base": str(ROOT / "configs/base/study.yaml"),
        "name": "toy",
        "study": {"name": "toy"},
        "callbacks": {"progress": None},
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def run_toy(toy_config: Path) -> Callable[..., Path]:
    """Run ``train.py`` in this process on the toy configuration; return the newest run folder."""
    from train import main

    def run(*arguments: str, config: bool = True) -> Path:
        assert main([*arguments, *(["--config", str(toy_config)] if config else [])]) == 0
        return max(
            (toy_config.parent / "runs/toy").glob("version_*"), key=lambda p: int(p.name.split("_")[1])
        )

    return run


@pytest.fixture
def fit(toy_config: Path) -> Callable[..., int]:
    """Run the toy with settings in this process; return the exit status."""
    from train import main

    def run(*arguments: str) -> int:
        return main(["--config", str(toy_config), *arguments])

    return run
