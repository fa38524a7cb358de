"""Sweeps on this machine from W&B's own sweep files, without a server."""

from sevenfold.sweep.file import SweepFile, read_sweep
from sevenfold.sweep.run import run_sweep

__all__ = ["SweepFile", "read_sweep", "run_sweep"]
