"""Fixtures shared by all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def toy_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of the toy family, its parts in the tables, all output under ``tmp_path``."""
    from datamodules import DATAMODULES
    from lightning_modules import MODELS

    monkeypatch.setitem(MODELS, "toy", "toy:ToyModule")
    monkeypatch.setitem(DATAMODULES, "toy", "toy:ToyData")
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
        "callbacks": {"progress": None, "records": {}},
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
