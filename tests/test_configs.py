"""Every shipped configuration runs offline, leaves a loadable checkpoint, and reproduces itself."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from studies import kind

from sevenfold.config import locate, read_file
from sevenfold.studies import STUDIES
from train import main

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(
    path for path in (ROOT / "configs").rglob("*.yaml") if not {"base", "sweeps"} & set(path.parts)
)
CPU = ["trainer.accelerator=cpu", "trainer.devices=1"]
TINY = ["data.evaluation.size=64", "data.evaluation.val_pairs=1", "data.evaluation.test_pairs=1",
        "data.crop=64", "data.train_pairs=4", "data.batch_size=2", "data.workers=0"]  # fmt: skip

SMALL = {
    "curve_tables": ["data.archs=120", "model.members=2"],
    "predictor_cells": [
        "data.benchmark.name=synthetic-nb201",
        "data.train=20",
        "data.val=50",
        "data.test=50",
    ],
    "attribute_images": ["data.shapes=96", "data.batch_size=16"],
    "fairness_rows": ["data.source.name=synthetic", "data.source.n=600", "data.protected=a"],
    "denoiser_images": ["model.network.widths=[16]", "model.samples.count=4", "model.samples.levels=3"],
}  # by data module, what makes a recipe of a training small


def is_recipe(path: Path) -> bool:
    """Tell a configuration that stands alone from one that only serves as a base or an addition."""
    content = read_file(path)
    return "name" in content.get("study", {}) or all("name" in content.get(k, {}) for k in ("model", "data"))


def is_published(path: Path) -> bool:
    """Tell the recipes of full size, which ``test_flow_recipes.py`` runs."""
    return read_file(path).get("data", {}).get("name") == "flow_mix" and path.stem not in ("adapt", "own")


FULL = [path for path in CONFIGS if is_recipe(path)]
RECIPES = [path for path in FULL if not is_published(path)]
# The published recipes build networks of many millions of parameters; the small ones run always.
FAST = {"demo", "demo_raft", "raft_small_pairs"}


def case(path: Path) -> Any:
    marks = [] if path.stem in FAST else [pytest.mark.slow]
    return pytest.param(path, id=str(path.relative_to(ROOT / "configs")), marks=marks)


CASES = [case(path) for path in RECIPES]


@pytest.fixture
def real_pairs(tmp_path: Path) -> Path:
    """A folder with one real-looking pair, where a recipe asks for files."""
    from sevenfold.flow.formats import write_flow, write_image

    folder = tmp_path / "pairs/Toy"
    folder.mkdir(parents=True)
    image = (torch.rand(3, 128, 128, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
    write_image(folder / "frame10.png", image)
    write_image(folder / "frame11.png", image)
    write_flow(folder / "flow10.flo", torch.zeros(2, 128, 128), torch.ones(128, 128, dtype=torch.bool))
    return tmp_path / "pairs"


def absent_files(config: dict[str, Any]) -> list[str]:
    """Return the settings that say where files would be, which a small study does without."""
    study = config["study"]
    settings = ["study.prior.path=absent"] if study.get("prior", {}).get("path") == "???" else []
    return settings + (["study.source.path=absent"] if study.get("source", {}).get("path") == "???" else [])


def offline(path: Path, tmp_path: Path, pairs: Path) -> list[str]:
    """Return the settings under which a recipe needs no download and next to no time."""
    config = read_file(path)
    if "study" in config:
        return absent_files(config)
    if config["data"].get("source", {}).get("name") == "scapes":
        return ["data.source.count=40", "data.held_out=8", "data.batch_size=4", "model.network.widths=[8,8]"]
    if config["data"]["name"] == "denoiser_images":
        pytest.importorskip("diffusers")
    if config["data"].get("source", {}).get("name") == "world_views":
        few = ["data.source.world={train: 20, test: 6, samples: 8}", "data.held_out=96", "data.batch_size=16"]
        return [*SMALL["denoiser_images"], *few]
    if config["data"]["name"] in SMALL:
        return SMALL[config["data"]["name"]]
    real = config["data"]["name"] == "pairs"
    settings = [f"data.root={pairs}"] if real else ["data.name=synthetic", *TINY]
    if config["model"].get("weights") == "???":
        from sevenfold.config import build
        from sevenfold.flow import NETWORKS

        network = build(NETWORKS, config["model"]["network"], "network")
        torch.save(network.state_dict(), weights := tmp_path / "weights.pth")
        settings.append(f"model.weights={weights}")
    return settings


def newest(tmp_path: Path) -> Path:
    return max((tmp_path / "runs").glob("*/version_*"), key=lambda path: path.stat().st_mtime_ns)


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize("path", CASES)
def test_a_recipe_runs_offline_and_reproduces_itself(
    path: Path, tmp_path: Path, real_pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    settings = ["trainer.fast_dev_run=true", *CPU, *offline(path, tmp_path, real_pairs)]
    untrained = ["--untrained"] if read_file(path).get("verb") in ("test", "predict", "validate") else []
    assert main(["--config", str(path), *untrained, *settings]) == 0
    first = newest(tmp_path)
    assert results(first)["status"] == "finished" and results(first)["metrics"]
    assert main(["--config", str(first / "config.yaml"), *untrained]) == 0
    assert results(newest(tmp_path))["metrics"] == results(first)["metrics"]


@pytest.mark.parametrize("path", CASES)
def test_a_recipe_checkpoint_holds_plain_values(
    path: Path, tmp_path: Path, real_pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "study" in read_file(path) or read_file(path).get("verb", "fit") != "fit":
        return  # nothing is saved
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    one_step = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "trainer.limit_val_batches=1"]
    settings = [
        *one_step,
        "trainer.accelerator=cpu",
        "test_after_fit=false",
        *offline(path, tmp_path, real_pairs),
    ]
    assert main(["--config", str(path), *settings]) == 0
    checkpoint = torch.load(newest(tmp_path) / "checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["config"] == yaml.safe_load((newest(tmp_path) / "config.yaml").read_text())


def kinds() -> list[Path]:
    """Return one recipe of each study that may use a device and of each pair of model and data."""
    found: dict[tuple[str, ...], Path] = {}
    for path in RECIPES:
        config = read_file(path)
        if "study" not in config or locate(STUDIES[config["study"]["name"]]).devices == "any":
            found.setdefault(kind(config), path)
    return sorted(found.values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device")
@pytest.mark.parametrize("path", kinds(), ids=lambda path: str(path.relative_to(ROOT / "configs")))
def test_every_kind_of_recipe_measures_on_a_gpu_what_it_measures_on_the_cpu(
    path: Path, tmp_path: Path, real_pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    if "x11" in path.stem:
        pytest.importorskip("lightgbm")
    untrained = ["--untrained"] if read_file(path).get("verb") in ("test", "predict", "validate") else []
    measured = []
    for place in ("gpu", "cpu"):
        settings = [f"trainer.accelerator={place}", "trainer.devices=1", *offline(path, tmp_path, real_pairs)]
        assert main(["--config", str(path), *untrained, "trainer.fast_dev_run=true", *settings]) == 0
        assert results(newest(tmp_path))["status"] == "finished"
        measured.append(results(newest(tmp_path))["metrics"])
    assert measured[0].keys() == measured[1].keys()
    numbers = {key: value for key, value in measured[1].items() if isinstance(value, float)}
    assert all(math.isfinite(measured[0][key]) == math.isfinite(value) for key, value in numbers.items())


def test_every_file_is_a_recipe_or_serves_one() -> None:
    used = set()
    for path in CONFIGS:
        bases = yaml.safe_load(path.read_text()).get("base", [])
        used |= {(path.parent / base).resolve() for base in ([bases] if isinstance(bases, str) else bases)}
    additions = {
        ROOT / f"configs/flow/{name}.yaml" for name in ("analysis", "pairs", "submit_kitti", "submit_sintel")
    }
    assert not {path for path in CONFIGS if path not in FULL} - used - additions
