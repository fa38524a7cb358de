"""Studies of volumes from configuration to report: resumed after SIGKILL, judged, drawn."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from train import main

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "data.samples=2", "data.seeds=1", "data.world={train: 30, test: 8, samples: 8, size: 6}",
    "data.representation={name: voxel_nerf, size: 6, samples: 8, resolution: 4}",
    "data.arms.independent=null", "data.arms.object=null", "data.arms.joint_prior=null", "data.arms.sds=null",
    "model.snapshot_every=2", "callbacks.volume_report.frames=4",
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
def test_check_19_correlated_noise_gives_consistent_and_diverse_scenes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One seed of ``nerf_toy.yaml``; the recorded figures are of four."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEVENFOLD_RUN_FOLDER", raising=False)
    others = [f"data.arms.{label}=null" for label in ("joint_prior", "sds")]
    assert main([*CONFIG, *others, "data.seeds=1"]) == 0
    results = json.loads((newest(tmp_path / "runs") / "results.json").read_text())
    found, real = results["metrics"], results["reference"]
    for arm in ("surface", "object"):
        assert found[f"{arm}/calls/mean"] == 49
        assert found[f"{arm}/nearest/mean"] <= 0.7 * real["real/nearest"]
        assert found[f"{arm}/diversity/mean"] >= 0.7
        assert found[f"{arm}/agreement/mean"] >= real["real/agreement"]
    assert found["surface/diversity/mean"] - found["independent/diversity/mean"] >= 0.2
