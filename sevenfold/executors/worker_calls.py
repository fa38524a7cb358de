"""Calls computed by worker processes on this machine, each of which may die without harm to the others."""

import os
import pickle
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from sevenfold.errors import InputError, one_line
from sevenfold.executors.calls import Calls, Ending, Hear, Prepare, called
from sevenfold.ranges import Depth
from sevenfold.tables import allow, allowed

# This file imports no torch: a worker is ready in a fraction of a second, unless its function needs torch.


class _Worker:
    """A process and the pipe to it; ``ticket`` is the call that it computes."""

    def __init__(self, work: bytes, threads: int) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work, allowed(), threads))
        # No daemon, because those may have no child processes, and a function may load data by some.
        self.process.start()
        # Only the worker holds its end now, so that its death reads as the end of the pipe.
        theirs.close()
        self.ready, self.ticket, self.given = False, -1, ()
        self.seconds: float | None = None
        self.ends = float("inf")

    def give(self, ticket: int, given: tuple[Any, ...], seconds: float | None) -> None:
        self.ticket, self.given, self.seconds = ticket, given, seconds
        if self.ready:
            self.begin()

    def begin(self) -> None:
        """Send the call; its time begins now, not when the process was started."""
        self.ends = time.monotonic() + (float("inf") if self.seconds is None else self.seconds)
        with suppress(OSError):  # it has died: the end of the pipe is read next
            self.pipe.send(("call", self.ticket, self.given))

    def end(self) -> int | None:
        """Kill the process; return its exit status."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        return self.process.exitcode


class WorkerCalls(Calls):
    """Compute calls in ``workers`` processes.

    The function, and what it is called with, must be picklable. A process that dies, or is ended after the
    seconds of its call, is replaced: that call ends with an error, the others do not notice. Workers end with
    the process that started them, however that ends. A script that uses this needs the usual
    ``if __name__ == "__main__":`` around its calls.

    Args:
        workers: processes, at least 1.
        threads: of each process, for numerical libraries.
    """

    limits = True

    def __init__(self, *, workers: Depth = 2, threads: Depth = 1) -> None:
        self.workers, self.threads = workers, threads
        self._team: list[_Worker] = []

    def start(self, prepare: Prepare, hear: Hear) -> None:
        """Start the workers."""
        try:
            self._work = pickle.dumps(prepare)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InputError(
                f"the function cannot be sent to worker processes ({one_line(error)}); define it at the top "
                "level of a file"
            ) from None
        self._hear = hear
        self._team = [_Worker(self._work, self.threads) for _ in range(self.workers)]

    @property
    def idle(self) -> int:
        """How many processes compute nothing."""
        return sum(worker.ticket < 0 for worker in self._team)

    @property
    def busy(self) -> bool:
        """Whether any process computes a call."""
        return self.idle < len(self._team)

    def submit(self, ticket: int, *given: Any, seconds: float | None = None) -> None:
        """Give a call to a process that computes nothing."""
        next(worker for worker in self._team if worker.ticket < 0).give(ticket, given, seconds)

    def collect(self) -> list[Ending]:
        """Wait for calls to end; hear messages meanwhile."""
        ended: list[Ending] = []
        while self.busy and not ended:
            left = min(worker.ends for worker in self._team) - time.monotonic()
            limit = None if left == float("inf") else max(left, 0)
            ready = wait([worker.pipe for worker in self._team], limit)
            for place, worker in enumerate(self._team):
                # What was sent in time counts, whenever it is read.
                ending = self._read(worker) if worker.pipe in ready else None
                if ending is None and time.monotonic() >= worker.ends and not worker.pipe.poll():
                    worker.end()
                    ending = Ending(worker.ticket, error=f"took longer than {worker.seconds:g} seconds")
                if ending is not None:
                    ended += [ending] if worker.ticket >= 0 else []
                    worker.ticket, worker.ends = -1, float("inf")
                if worker.process.exitcode is not None:
                    self._team[place] = _Worker(self._work, self.threads)
        return ended

    def _read(self, worker: _Worker) -> Ending | None:
        """Take one message of a worker; return the end of its call if it is that."""
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, OSError):
            return self._died(worker)
        if kind == "ready":
            worker.ready = True
            if worker.ticket >= 0:
                worker.begin()
        elif kind == "unfit":
            raise InputError(content)
        elif kind == "said":
            answer = self._hear(worker.ticket, content)
            with suppress(OSError):
                worker.pipe.send(("answer", answer))
        else:
            ending: Ending = content
            return ending
        return None

    def _died(self, worker: _Worker) -> Ending:
        status = worker.end()
        if not worker.ready:
            raise InputError(
                f"a worker process ended with status {status} before its first call; a script needs its "
                "calls below 'if __name__ == \"__main__\":'"
            )
        how = f"was killed by signal {-status}" if status is not None and status < 0 else f"ended ({status})"
        return Ending(worker.ticket, error=f"the worker process {how}")

    def stop(self) -> None:
        """End all processes."""
        for worker in self._team:
            worker.end()
        self._team = []


def _serve(pipe: Connection, work: bytes, packages: tuple[str, ...], threads: int) -> None:
    """Be a worker: compute calls until the pipe ends, which it does with the process at its other end."""
    # Signals of the terminal are the parent's: it decides what becomes of its workers.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    incoming: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # A thread of its own reads, so that a worker ends with its parent in the middle of a call too.
    threading.Thread(target=_follow, args=(pipe, incoming), daemon=True).start()
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.putenv(f"{library}_NUM_THREADS", str(threads))
    try:
        allow(*packages)
        function = pickle.loads(work)()
    except Exception as error:
        pipe.send(("unfit", f"a worker process cannot begin: {type(error).__name__}: {one_line(error)}"))
        return
    if torch := sys.modules.get("torch"):  # loaded before the variables were set
        torch.set_num_threads(threads)

    def say(message: Any) -> Any:
        pipe.send(("said", message))
        return incoming.get()[1]

    pipe.send(("ready", None))
    while True:
        _, ticket, given = incoming.get()
        ending = called(function, ticket, given, say)
        # What was printed is not lost when the process is ended.
        sys.stdout.flush()
        try:
            content = pickle.dumps(("ended", ending))
        except Exception as error:
            content = pickle.dumps(("ended", Ending(ticket, error=f"its result cannot be sent: {error}")))
        pipe.send_bytes(content)


def _follow(pipe: Connection, incoming: "queue.SimpleQueue[Any]") -> None:
    while True:
        try:
            incoming.put(pipe.recv())
        except (EOFError, OSError):
            os._exit(1)
