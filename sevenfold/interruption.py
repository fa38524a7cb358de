"""The end of a run before it is complete: by a signal, or as its time is over."""

import shutil
import signal
import subprocess
from collections.abc import Mapping


class Interrupted(BaseException):
    """Raised at a safe point after a signal, or in its place by a second Ctrl-C; ``number`` is the signal.

    A run whose time is over is interrupted without a signal.
    """

    def __init__(self, number: int | None) -> None:
        super().__init__(signal.Signals(number).name if number else "out of time")
        self.number = number


def requeue(number: int, variables: Mapping[str, str]) -> None:
    """Ask SLURM to start this job again, if the signal is the one that announces the end of its time.

    ``variables``: the environment of the process, which says what the job is.
    """
    job = variables.get("SLURM_JOB_ID")
    if number != signal.SIGUSR1 or job is None or variables.get("SLURM_PROCID", "0") != "0":
        return
    array = variables.get("SLURM_ARRAY_JOB_ID")
    name = f"{array}_{variables['SLURM_ARRAY_TASK_ID']}" if array else job
    if shutil.which("scontrol"):
        subprocess.run(["scontrol", "requeue", name], check=False)
