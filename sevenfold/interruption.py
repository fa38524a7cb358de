"""The end of a run before it is complete: by a signal, or as its time is over."""

import os
import shutil
import signal
import subprocess


class Interrupted(BaseException):
    """Raised at a safe point after a signal, or in its place by a second Ctrl-C; ``number`` is the signal.

    A run whose time is over is interrupted without a signal.
    """

    def __init__(self, number: int | None) -> None:
        super().__init__(signal.Signals(number).name if number else "out of time")
        self.number = number


def requeue(number: int) -> None:
    """Ask SLURM to start this job again, if the signal is the one that announces the end of its time."""
    job = os.environ.get("SLURM_JOB_ID")
    if number != signal.SIGUSR1 or job is None or os.environ.get("SLURM_PROCID", "0") != "0":
        return
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    name = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else job
    if shutil.which("scontrol"):
        subprocess.run(["scontrol", "requeue", name], check=False)
