"""Studies of volumes from configuration to report: stopped, resumed after SIGKILL, judged, drawn."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from sevenfold.config import ConfigError, build, merge, read_file
from sevenfold.diffreps.studies import STUDIES
from sevenfold.records import read_folder
from sevenfold.study import Context, Study
from train import main

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "study.samples=2", "study.seeds=1", "study.world={train: 30, test: 8, samples: 8, size: 6}",
    "study.representation={name: voxel_nerf, size: 6, samples: 8, resolution: 4}",
    "study.arms.independent=null", "study.arms.object=null", "study.arms.joint_prior=null",
    "study.arms.sds=null",
    "study.snapshot_every=2", "study.turn_frames=4",
]  # fmt: skip
CONFIG = ["--config", str(ROOT / "configs/diffreps/nerf_toy.yaml")]


def newest(folder: Path) -> Path:
    return max(folder.glob("*/version_*"), key=lambda path: path.stat().st_mtime_ns)


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    assert main([*CONFIG, *SMALL, "output_dir=whole"]) == 0
    whole = newest(tmp_path / "whole")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "train.py"), *CONFIG, *SMALL, "output_dir=cut"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, **quiet) as run:
        deadline = time.monotonic() + 300
        while not list(tmp_path.glob("cut/*/version_*/samples/*.snapshot")):
            assert run.poll() is None and time.monotonic() < deadline, "no snapshot was written"
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    assert not list(tmp_path.glob("cut/*/version_*/samples/*.pt"))
    assert main([*CONFIG, *SMALL, "output_dir=cut"]) == 0
    cut = newest(tmp_path / "cut")
    assert len(list((tmp_path / "cut").glob("*/version_*"))) == 1
    one, two = (torch.load(next(f.glob("samples/*.pt")), weights_only=True) for f in (whole, cut))
    assert torch.equal(one["theta"], two["theta"]) and torch.equal(one["images"], two["images"])
    for folder in (whole, cut):
        results = json.loads((folder / "results.json").read_text())
        assert results["metrics"]["surface/nearest/n"] == 1 and "real/nearest" in results["reference"]
        assert (folder / "images/turn_surface.gif").is_file()
        assert (folder / "images/views_surface.png").is_file()
        assert "surface" in (folder / "table.txt").read_text()
        assert "data:image/gif;base64," in (folder / "report.html").read_text()


@pytest.mark.slow
def test_correlated_noise_gives_consistent_and_diverse_scenes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One seed of ``nerf_toy.yaml``; the recorded figures are of four."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    others = [f"study.arms.{label}=null" for label in ("joint_prior", "sds")]
    assert main([*CONFIG, *others, "study.seeds=1"]) == 0
    results = json.loads((newest(tmp_path / "runs") / "results.json").read_text())
    metrics, real = results["metrics"], results["reference"]
    for arm in ("surface", "object"):
        assert metrics[f"{arm}/calls/mean"] == 49
        assert metrics[f"{arm}/nearest/mean"] <= 0.7 * real["real/nearest"]
        assert metrics[f"{arm}/diversity/mean"] >= 0.7
        assert metrics[f"{arm}/agreement/mean"] >= real["real/agreement"]
    assert metrics["surface/diversity/mean"] - metrics["independent/diversity/mean"] >= 0.2


NODE = read_file(ROOT / "configs/diffreps/nerf_toy.yaml")["study"]
FEW = {
    "samples": 2,
    "seeds": 1,
    "world": {"train": 12, "test": 6, "samples": 8, "size": 6},
    "representation": {"size": 6, "samples": 8, "resolution": 4},
    "arms": {
        "surface": None,
        "object": {"views": 4, "method": {"views_per_step": 2, "schedule": {"levels": 3}}},
        "independent": {"views": 4, "method": {"views_per_step": 2, "schedule": {"levels": 3}}},
        "joint_prior": None,
        "sds": None,
    },
    "snapshot_every": 1,
    "turn_frames": 2,
}


def study(**changes: Any) -> Study:
    return build(STUDIES, merge(merge(NODE, FEW), changes), "study")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volumes")
    study().run_all(folder, seed=200)
    return folder


def test_a_report_needs_neither_world_nor_prior(finished: Path) -> None:
    """The report is written without the prior; figures of real scenes are stored beside the samples."""
    absent = study(prior={"name": "learned", "path": "nowhere.ckpt"})
    report = absent.report(read_folder(finished / "records"), finished)
    assert "judge" not in vars(absent) and {len(row) for row in report.headline} == {8}
    assert [row[0] for row in report.headline[1:]] == ["object", "independent", "real scenes"]
    assert report.scalars["reference/real/nearest"] == study().judge.real()["nearest"]
    assert report.scalars["object/nearest/n"] == 1 and "object/seconds/mean" not in report.scalars
    names = ["views_object.png", "views_independent.png", "turn_object.gif", "turn_independent.gif"]
    assert [path.name for path in report.pictures] == names
    assert all(path.is_file() for path in report.pictures)


def test_a_stopped_piece_resumes_from_its_snapshot(finished: Path, tmp_path: Path) -> None:
    """Each step is stopped, and another process continues."""
    volumes, records = study(), []
    piece = volumes.pieces()[0]
    for stop in (True, True, False):
        assert not records
        context = Context(tmp_path, seed=200, stopping=lambda stop=stop: stop)
        records = pickle.loads(pickle.dumps(volumes)).run(piece, context)
    expected = next(r for r in read_folder(finished / "records") if r["key"] == piece.keys[0])
    assert {k: v for k, v in records[0].items() if k not in volumes.timing} == expected


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"samples": 0}, "samples"),
    ({"turn_frames": 0}, "turn_frames"),
    ({"arms": dict.fromkeys(NODE["arms"])}, "arms"),
    ({"arms": {"object": "pullback"}}, "arms.object"),
    ({"arms": {"object": {"method": {"name": "pullbakc"}}}}, "arms.object.method.name"),
    ({"arms": {"object": {"methods": {}}}}, "arms.object.methods"),
    ({"arms": {"object": {"representation": {"size": 8}}}}, "arms.object.representation"),
    ({"arms": {"object": {"representation": {"name": "siren"}}}}, "arms.object.representation"),
    ({"arms": {"object": {"prior": {"widht": 1}}}}, "arms.object.prior.widht"),
    ({"world": {"train": 1}}, "world.train"),
]


@pytest.mark.parametrize(("changes", "key"), WRONG, ids=[key for _, key in WRONG])
def test_a_wrong_option_is_named_before_anything_is_drawn(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        study(**changes).check()
    assert caught.value.key.removeprefix("study.") == key
