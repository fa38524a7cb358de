"""Code of one's own by ``--allow``: every kind of part runs, keeps its contract, and is refused otherwise."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import studies
import yaml

ROOT = Path(__file__).resolve().parents[1]
PARTS = ROOT / "tests/own_code/parts.py"
CPU = ["trainer.accelerator=cpu", "trainer.devices=1", "trainer.fast_dev_run=true", "callbacks.progress=null"]

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
    "executor": {"name": "processes", "workers": 2},
}
RECIPES: dict[str, dict[str, Any]] = {"flow": FLOW, "search": SEARCH, "samples": SAMPLES, "coins": COINS}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with the package ``strangers`` and a configuration of each kind."""
    package = tmp_path / "strangers"
    package.mkdir()
    (package / "__init__.py").write_text("")
    shutil.copy(PARTS, package / "parts.py")
    for name, recipe in RECIPES.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path


def run(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "train.py"), *words]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, env=studies.environment())


def metrics(place: Path, name: str) -> dict[str, Any]:
    results = json.loads((place / f"runs/{name}/version_0/results.json").read_text())
    assert results["status"] == "finished"
    return results["metrics"]


def test_a_search_a_data_set_a_solver_a_study_and_a_callback_of_one_s_own_run(place: Path) -> None:
    done = run(place, "--allow", "strangers", "--config", "flow.yaml", *CPU[:2], "callbacks.progress=null")
    assert done.returncode == 0, done.stderr
    assert metrics(place, "flow")["batches"] == 1.0
    for name, key in (("search", "greedy/val_loss/mean"), ("coins", "coin/heads/mean")):
        done = run(place, "--allow", "strangers", "--config", f"{name}.yaml", "callbacks.progress=null")
        assert done.returncode == 0, done.stderr
        assert key in metrics(place, name)
    done = run(place, "--allow", "strangers", "--config", "samples.yaml", "trainer.accelerator=cpu")
    assert done.returncode == 0 and metrics(place, "samples"), done.stderr


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("flow", "strangers.parts:"),
        ("search", "study.algorithms.greedy"),
        ("samples", "study.representations.plane"),
        ("coins", "study.name"),
    ],
)
def test_without_allow_it_is_refused_in_one_line(place: Path, name: str, key: str) -> None:
    done = run(place, "--config", f"{name}.yaml")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and not (place / "runs").exists()
    assert (
        key in done.stderr and "is code outside the suite: say --allow strangers if you trust" in done.stderr
    )
    done = run(place, "--allow", "numpy", "--config", f"{name}.yaml")
    assert done.returncode == 2 and "say --allow strangers" in done.stderr


def test_a_checkpoint_that_names_it_is_refused_without_allow(place: Path) -> None:
    done = run(place, "--allow", "strangers", "--config", "flow.yaml", *CPU[:2], "callbacks.progress=null")
    assert done.returncode == 0, done.stderr
    checkpoint = place / "runs/flow/version_0/checkpoints/last.ckpt"
    done = run(place, "test", "--ckpt", str(checkpoint))
    assert done.returncode == 2 and "say --allow strangers if you trust it" in done.stderr
    done = run(place, "test", "--allow", "strangers", "--ckpt", str(checkpoint), "callbacks.progress=null")
    assert done.returncode == 0, done.stderr


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
def test_names_that_are_none_of_the_package_are_refused(
    place: Path, name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sevenfold.config import ConfigError
    from sevenfold.tables import _allowed, allow, component

    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", [*sys.path])
    allow("strangers")
    try:
        with pytest.raises(ConfigError) as caught:
            component({}, name, "key")
    finally:
        _allowed.discard("strangers")
        for module in [module for module in sys.modules if module.split(".")[0] == "strangers"]:
            del sys.modules[module]
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
