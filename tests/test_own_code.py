"""Code of one's own by ``--allow``: every kind of part runs, keeps its contract, and is refused otherwise."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import studies
import yaml

from sevenfold import tables
from sevenfold.config import ConfigError
from train import main

ROOT = Path(__file__).resolve().parents[1]
PARTS = ROOT / "tests/own_code/parts.py"
QUIET = ["trainer.accelerator=cpu", "callbacks.progress=null"]

FLOW = {
    "model": {
        "name": "flow",
        "network": {"name": "deq_flow", "variant": "tiny", "solver": {"name": "strangers.parts:Damped"}},
        "training": {"iterations": [2]},
        "evaluation": {"iterations": 2},
    },
    "data": {"name": "strangers.parts:Blobs"},
    "callbacks": {"counter": {"_class": "strangers.parts:Counter"}},
    "trainer": {"max_steps": 1},
    "logger": {"csv": {}},
}
SEARCH = {
    "study": {
        "name": "nas_search",
        "algorithms": {"greedy": {"name": "strangers.parts:Greedy"}, "random": {"name": "random"}},
        "benchmark": {"name": "synthetic-nb201"},
        "trials": 2,
        "budget": 20,
    }
}
SAMPLES = {
    "study": {
        "name": "samples",
        "prior": {"name": "gmm", "source": {"name": "digits", "size": 8}},
        "representations": {"plane": {"name": "strangers.parts:Plane", "size": 8}},
        "methods": {"pullback": {"name": "pullback", "schedule": {"name": "karras", "levels": 4}}},
        "reference": None,
        "samples": 2,
    }
}
COINS = {
    "study": {"name": "strangers.parts:Coins", "trials": 3},
    "executor": {"name": "here"},
}
RECIPES: dict[str, dict[str, Any]] = {"flow": FLOW, "search": SEARCH, "samples": SAMPLES, "coins": COINS}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Go to a folder with the package ``strangers`` and a configuration of each kind; forget them later."""
    package = tmp_path / "strangers"
    package.mkdir()
    (package / "__init__.py").write_text("")
    shutil.copy(PARTS, package / "parts.py")
    for name, recipe in RECIPES.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    yield tmp_path
    tables._allowed.clear()
    for module in [module for module in sys.modules if module.split(".")[0] == "strangers"]:
        del sys.modules[module]


def metrics(place: Path, name: str) -> dict[str, Any]:
    results = json.loads((place / f"runs/{name}/version_0/results.json").read_text())
    assert results["status"] == "finished"
    return results["metrics"]


RUNS = [
    ("flow", "batches"),
    ("search", "greedy/val_loss/mean"),
    ("samples", "plane/pullback/log_likelihood"),
    ("coins", "coin/heads/mean"),
]


@pytest.mark.parametrize(("name", "key"), RUNS)
def test_parts_of_one_s_own_run_by_configuration(place: Path, name: str, key: str) -> None:
    assert main(["--allow", "strangers", "--config", f"{name}.yaml", *QUIET]) == 0
    assert key in metrics(place, name)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("flow", "strangers.parts:"),
        ("search", "study.algorithms.greedy"),
        ("samples", "study.representations.plane"),
        ("coins", "study.name"),
    ],
)
def test_without_allow_it_is_refused_in_one_line(
    place: Path, name: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ([], ["--allow", "numpy"]):
        assert main(["--config", f"{name}.yaml", *words]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and not (place / "runs").exists()
        assert key in error and "outside the suite: say --allow strangers if you trust it" in error


def test_a_checkpoint_that_names_it_is_refused_without_allow(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--allow", "strangers", "--config", "flow.yaml", *QUIET]) == 0
    checkpoint = str(place / "runs/flow/version_0/checkpoints/last.ckpt")
    tables._allowed.clear()
    assert main(["test", "--ckpt", checkpoint, *QUIET]) == 2
    assert "say --allow strangers if you trust it" in capsys.readouterr().err
    assert main(["test", "--allow", "strangers", "--ckpt", checkpoint, *QUIET]) == 0


@pytest.mark.slow
def test_a_sweep_and_workers_take_the_permission_along(place: Path) -> None:
    sweep = {
        "program": "train.py",
        "method": "grid",
        "metric": {"name": "coin/heads/mean", "goal": "maximize"},
        "parameters": {"study.chance": {"values": [0.1, 0.9]}},
        "command": [
            "${env}",
            "${interpreter}",
            "${program}",
            "--config",
            "coins.yaml",
            "executor.name=processes",
            "${args}",
        ],
    }
    (place / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    words = [str(ROOT / "train.py"), "sweep", "--allow", "strangers", "sweep.yaml", "callbacks.progress=null"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=studies.environment())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("strangers.parts:Nothing", "cannot import 'strangers.parts:Nothing'"),
        ("strangers.absent:Damped", "cannot import 'strangers.absent:Damped'"),
        ("strangers.parts:torch", "is no class or function of package 'strangers'"),
        ("strangers.parts:np.load", "expected package.module:Class"),
        ("strangers.parts:DataLoader", "is no class or function of package 'strangers'"),
    ],
)
def test_names_that_are_none_of_the_package_are_refused(place: Path, name: str, message: str) -> None:
    tables.allow("strangers")
    with pytest.raises(ConfigError) as caught:
        tables.component({}, name, "key")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_parts_of_one_s_own_keep_their_contracts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PARTS.parent)
    import parts

    from sevenfold import testing

    testing.check_solver(parts.Damped)
    testing.check_algorithm(parts.Greedy)
    testing.check_representation(parts.Plane(size=5))
    testing.check_flow_set(parts.blobs, tmp_path, ["train", "val"])
    testing.check_study(parts.Coins)
    testing.check_callback(parts.Counter)
