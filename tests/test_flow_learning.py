"""What the demo learns in five minutes of two cores: acceptance check 14 of the flow specification."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAIRS = ROOT / "../shared/data/flow"

pytestmark = pytest.mark.slow


def train_py(*words: Any, cwd: Path) -> dict[str, Any]:
    """Run the suite and return the results of the newest run."""
    environment = {key: value for key, value in os.environ.items() if key != "SEVENFOLD_RUN_FOLDER"}
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", *map(str, words), "callbacks.progress=null"],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    newest = max(cwd.glob("runs/*/version_*/results.json"), key=os.path.getmtime)
    return json.loads(newest.read_text()) | {"folder": newest.parent}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The demo as shipped, its convergence followed by solver."""
    folder = tmp_path_factory.mktemp("demo")
    follow = "callbacks.flow_convergence={count: 16, solvers: [fixed_point, anderson]}"
    return train_py("--config", ROOT / "configs/flow/demo.yaml", follow, cwd=folder)


def test_check_14a_error_is_well_below_zero_flow(demo):
    metrics, zero = demo["metrics"], demo["reference"]["test/synthetic/zero_flow_epe"]
    assert metrics["test/synthetic/epe_at_8"] <= 0.55 * zero
    assert metrics["test/synthetic/epe_at_24"] <= 0.55 * zero


def test_check_14b_anderson_converges_where_plain_iteration_stops_improving(demo):
    curves = json.loads((demo["folder"] / "analysis/convergence.json").read_text())
    at = {
        solver: [statistics.median(row) for row in curves[solver]["residual"]]
        for solver in ("fixed_point", "anderson")
    }
    assert at["anderson"][47] <= at["anderson"][7] / 5
    assert at["anderson"][47] < at["fixed_point"][47]


def test_check_14d_three_times_the_steps_cost_nothing(demo):
    metrics = demo["metrics"]
    assert metrics["test/synthetic/epe_at_24"] <= 1.05 * metrics["test/synthetic/epe_at_8"]


@pytest.mark.skipif(not PAIRS.is_dir(), reason="the shared flow data are absent")
def test_check_14e_better_than_zero_flow_on_real_pairs_in_8_steps(demo, tmp_path):
    configs = [
        word for name in ("demo", "pairs") for word in ("--config", ROOT / f"configs/flow/{name}.yaml")
    ]
    trained = [
        "--ckpt",
        demo["folder"] / "checkpoints/last.ckpt",
        "model.evaluation.iterations=8",
        "model.evaluation.budgets=[]",
    ]
    results = train_py("test", *configs, *trained, f"data.root={PAIRS.resolve()}", cwd=tmp_path)
    pairs = [key for key in results["metrics"] if key.endswith("/epe") and "kitti" not in key]
    assert len(pairs) >= 4
    for key in pairs:
        assert results["metrics"][key] < results["reference"][key.replace("/epe", "/zero_flow_epe")], key
