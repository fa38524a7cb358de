"""The script of GPU figures: tiny sizes run here; without a GPU it says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
FIGURES = [
    "flow_training",
    "one_step_memory",
    "correlation",
    "solver_overhead",
    "bananas_round",
    "debiasing",
    "sirens",
    "nerf",
]


def script(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "benchmarks/gpu.py", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800)


@pytest.mark.slow
def test_every_figure_is_measured_in_small() -> None:
    done = script("--small")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [line["figure"] for line in lines] == FIGURES
    for line in lines:
        numbers = [value for key, value in line.items() if key not in ("figure", "device")]
        assert all(torch.tensor(numbers).isfinite()) and any(key.endswith("ratio") for key in line)
    assert lines[-1]["difference"] < 1e-3  # both ways to a step of the voxel field


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line() -> None:
    done = script()
    assert done.returncode == 2 and "no GPU here" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_figure_that_is_not_there_is_one_line() -> None:
    done = script("--small", "flow")
    assert done.returncode == 2 and "no figure of this script" in done.stderr and done.stderr.count("\n") == 1
