"""Five hundred mutations of the shipped configurations: each works, or is refused in one line."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_no_mutation_of_a_shipped_configuration_ends_in_a_traceback() -> None:
    """In a process of its own, which bounds its memory: sizes that fit no machine are among the mutations."""
    command = [sys.executable, "benchmarks/fuzz_config.py", "--count", "500", "--jobs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "refused" in done.stdout and "works" in done.stdout
