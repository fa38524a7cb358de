"""The worked layers under ``examples/deq`` run, and print the figures that their page quotes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "examples/deq"
# What is printed, and how far another processor or version may take it from what the page says.
QUOTED = {
    "plot_monotone_digits": {"test accuracy": 0.02, "evaluations of the map:": 4.0},
    "plot_graph_labels": {"right on the others:": 0.03},
    "plot_denoiser": {"weight": 0.02, ": error": 0.005},
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SCRIPTS.is_dir(), reason="the examples are part of the tree, not of the package"),
]


def figures(text: str, label: str) -> list[float]:
    return [float(number) for number in re.findall(rf"{re.escape(label)} (\d+\.\d+)", text)]


@pytest.mark.parametrize("name", QUOTED)
def test_check_24_a_worked_layer_prints_what_the_page_says(name, tmp_path):
    script = SCRIPTS / f"{name}.py"
    assert len(script.read_text().splitlines()) <= 60
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs/deq.md").read_text()
    for label, tolerance in QUOTED[name].items():
        printed, quoted = figures(done.stdout, label), figures(page, label)
        assert printed and quoted, label
        assert printed[0] == pytest.approx(quoted[0], abs=tolerance)
