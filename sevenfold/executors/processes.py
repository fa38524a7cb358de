"""Pieces computed by worker processes on this machine."""

import os
import pickle
import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import torch

from sevenfold.errors import InputError
from sevenfold.executors.base import Executor
from sevenfold.ranges import Depth
from sevenfold.records import Record
from sevenfold.study import Context, Piece, Study, compute
from sevenfold.tables import allow, allowed

TRIES = 3
"""How often a piece is begun whose worker dies (killed for its memory, say)."""

_work: tuple[Study[Any], Context] | None = None  # of a worker process, set once when it starts


class Processes(Executor):
    """Compute pieces in ``workers`` processes; the study with its data is handed to each of them once.

    A worker that dies is replaced and its piece computed again, three times at most. Workers end with the
    process that started them, however that ends. A script that uses this from Python needs the usual
    ``if __name__ == "__main__":`` around its calls.

    Args:
        workers: processes, at least 1; each gets its share of the processor's threads.
    """

    def __init__(self, *, workers: Depth = 2) -> None:
        if workers < 1:
            raise InputError(f"executor.workers must be at least 1, got {workers}")
        self.workers = self.window = workers
        self._pool: ProcessPoolExecutor | None = None
        self._running: dict[Future[list[Record]], Piece] = {}
        self._tries: dict[Piece, int] = {}
        self._arguments: tuple[Any, ...] = ()

    def start(self, study: Study[Any], context: Context) -> None:
        """Start the workers."""
        threads = max(1, torch.get_num_threads() // self.workers)
        plain = Context(context.folder, context.device, context.seed)  # callbacks belong to this process
        self._arguments = (pickle.dumps((study, plain)), allowed(), threads, os.getpid())
        self._open()

    def _open(self) -> None:
        self._pool = ProcessPoolExecutor(
            self.workers, mp_context=get_context("spawn"), initializer=_begin, initargs=self._arguments
        )

    def submit(self, piece: Piece) -> list[Record]:
        """Begin a piece; if all workers are busy, wait for one and return its records."""
        self._begin(piece)
        return self.wait() if len(self._running) > self.workers else []

    def _begin(self, piece: Piece) -> None:
        assert self._pool is not None
        self._tries[piece] = self._tries.get(piece, 0) + 1
        if self._tries[piece] > TRIES:
            raise RuntimeError(
                f"piece '{piece.keys[0]}' was begun {TRIES} times, and a worker died each time"
            )
        try:
            self._running[self._pool.submit(_compute, piece)] = piece
        except BrokenProcessPool:
            self._restart(piece)

    def _restart(self, *pieces: Piece) -> None:
        """Replace the workers, of which one has died, and begin all their pieces again."""
        lost, self._running = [*self._running.values(), *pieces], {}
        self._open()
        for piece in lost:
            self._begin(piece)

    def busy(self) -> bool:
        """Tell whether pieces are still being computed."""
        return bool(self._running)

    def wait(self) -> list[Record]:
        """Return the records of the next piece that ends."""
        while self._running:
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            future = done.pop()
            try:
                records = future.result()
            except BrokenProcessPool:  # with one worker all of the pool's pieces are lost
                self._restart()
                continue
            del self._running[future]
            return records
        return []

    def stop(self) -> None:
        """End the workers after the pieces in hand."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._running.clear()


def _begin(work: bytes, packages: tuple[str, ...], threads: int, parent: int) -> None:
    """Prepare a worker: it leaves signals to its parent and ends when that is gone.

    Packages are allowed before the study is unpickled, which may name their classes.
    """
    global _work
    allow(*packages)
    study, context = pickle.loads(work)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    torch.set_num_threads(threads)
    _work = study, replace(context, stopping=lambda: os.getppid() != parent)


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _compute(piece: Piece) -> list[Record]:
    assert _work is not None
    return compute(_work[0], piece, _work[1])
