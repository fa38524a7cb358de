"""Sweeps on this machine from W&B's own sweep files, without a server."""

from sevenfold.sweep.run import run_sweep
from sevenfold.sweep.space import SweepFile, read_sweep

__all__ = ["SweepFile", "read_sweep", "run_sweep"]
