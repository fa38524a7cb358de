"""One trial of a sweep: its process, its log, its early end, and what it leaves."""

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

from sevenfold.errors import InputError
from sevenfold.report.run import read_run
from sevenfold.sweep.file import SweepFile
from sevenfold.sweep.hyperband import read_history
from sevenfold.sweep.worker import Worker

POLL = 2.0


class Running(Protocol):
    """A trial's process while it runs."""

    def stop(self) -> None:
        """End it."""


class Trials:
    """The trials of one sweep and the processes that serve them, one a job slot.

    Args:
        sweep: the file.
        command: the command line of a trial by its parameters.
        program: ``train.py``; a command that runs it with this interpreter runs in a warm worker.
        folder: of the sweep; trial k writes below ``trial_<k>``.
        environment: of the processes.
    """

    def __init__(
        self,
        sweep: SweepFile,
        command: Callable[[dict[str, Any]], list[str]],
        program: Path,
        folder: Path,
        environment: Mapping[str, str],
    ) -> None:
        self.sweep, self.command, self.program = sweep, command, program
        self.folder, self.environment = folder, environment
        self.patience = POLL if sweep.early_terminate else None
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._running: dict[int, Running] = {}
        self._stopped: set[int] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while not self._idle.empty():
            self._idle.get().close()

    def run(self, number: int, parameters: dict[str, Any]) -> dict[str, Any]:
        """Run one trial; return its record."""
        name, started = f"trial_{number:04d}", time.monotonic()
        log = self.folder / f"{name}.log"
        # A trial that is run again appends to its log: its reason is looked for in the new part alone.
        before = log.stat().st_size if log.exists() else 0
        command = [*self.command(parameters), f"output_dir={self.folder}", f"name={name}"]
        start_time = time.time()
        status = self._execute(number, command, log)
        # The time makes keys of repeated attempts differ, as records of one key are kept once.
        record: dict[str, Any] = {"key": f"{name}/{status}/{time.time_ns()}", "number": number}
        record |= {"parameters": parameters, "seconds": round(time.monotonic() - started, 1)}
        if number in self._stopped:
            # A stopped trial counts with its last value: so the planner learns that this region is bad.
            return record | {"status": "stopped", "value": self._value(self._history(name)[-1])}
        if status != 0:
            reason = failure(log, before, status)
            return record | {"status": "failed", "value": None, "problem": reason}
        try:
            return record | {"status": "finished", "value": self._final(name, start_time)}
        except InputError as error:
            return record | {"status": "failed", "value": None, "problem": str(error)}

    def stop_hopeless(self) -> None:
        """End the running trials that ``early_terminate`` gives up."""
        rule = self.sweep.early_terminate
        if rule is None:
            return
        histories = {path.name: self._history(path.name) for path in self.folder.glob("trial_????")}
        thresholds = rule.thresholds(list(histories.values()))
        with self._lock:
            for number, process in self._running.items():
                history = histories.get(f"trial_{number:04d}", [])
                if number not in self._stopped and rule.stops(history, thresholds):
                    self._stopped.add(number)
                    process.stop()

    def _execute(self, number: int, command: list[str], log: Path) -> int:
        start = [sys.executable, str(self.program)]
        # A command of the user's own cannot run inside a worker, which has imported the suite already.
        if command[:2] != start:
            with open(log, "ab") as file:
                process = subprocess.Popen(command, stdout=file, stderr=file, env=dict(self.environment))
            return self._watched(number, _Process(process), process.wait)
        worker = Worker(self.program, self.environment) if self._idle.empty() else self._idle.get()
        try:
            return self._watched(number, worker, lambda: worker.run(command[2:], log))
        finally:
            self._idle.put(worker)

    def _watched(self, number: int, process: Running, run: Callable[[], int]) -> int:
        with self._lock:
            self._running[number] = process
        try:
            return run()
        finally:
            with self._lock:
                del self._running[number]

    def _history(self, name: str) -> list[float]:
        assert self.sweep.metric is not None
        return read_history(self.folder / name, self.sweep.metric, self.sweep.maximize)

    def _value(self, loss: float) -> float:
        return -loss if self.sweep.maximize else loss

    def _final(self, name: str, start_time: float) -> float | None:
        """Return the metric in the trial's ``results.json``."""
        results = [
            p
            for p in (self.folder / name).glob("version_*/results.json")
            # Two seconds of grace for file systems whose times are that coarse.
            if p.stat().st_mtime >= start_time - 2
        ]
        if not results:
            raise InputError("left no results.json")
        metrics = read_run(max(results, key=lambda path: path.stat().st_mtime).parent)["metrics"]
        metric = self.sweep.metric
        if metric is None:
            return None
        if metric not in metrics:
            raise InputError(f"metric '{metric}' was not reported; known: {', '.join(metrics)}")
        if not isinstance(metrics[metric], int | float):
            raise InputError(f"metric '{metric}' is {json.dumps(metrics[metric])}, not a number")
        return float(metrics[metric])


class _Process:
    """A process of a trial's own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def stop(self) -> None:
        """End it."""
        self.process.terminate()


def failure(log: Path, before: int, status: int) -> str:
    """Return why a trial failed: its line ``error: ...``, or the last line it wrote, or its status."""
    with open(log, "rb") as file:
        file.seek(before)
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if status < 0:
        return f"ended by signal {-status}"
    reason = errors[-1] if errors else (lines[-1] if lines else f"exit status {status}")
    return reason if len(reason) <= 120 else f"{reason[:117]}..."
