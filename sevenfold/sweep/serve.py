"""The inside of a warm process of a sweep: it runs one trial after another (see ``sweep.worker``).

It is a script of the standard library alone: importing the package would cost seconds that a trial may not
need. The program is run anew for each trial under the name ``__main__``; only the modules that it imports
stay.
"""

import contextlib
import gc
import json
import os
import queue
import runpy
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def serve(program: str) -> None:
    """Answer requests until standard input ends; a trial in hand ends with it."""
    answers = os.fdopen(os.dup(1), "wb")
    requests: queue.Queue[bytes] = queue.Queue()
    busy = threading.Event()

    def listen() -> None:
        for line in sys.stdin.buffer:
            requests.put(line)
        requests.put(b"")
        if busy.is_set():  # whoever asked is gone, and nobody will read the result
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=listen, daemon=True).start()
    while line := requests.get():
        busy.set()
        request = json.loads(line)
        with logged(request["log"]), undisturbed():
            status = run_trial(program, request["arguments"])
        busy.clear()
        answers.write(json.dumps({"status": status}).encode() + b"\n")
        answers.flush()


def run_trial(program: str, arguments: Sequence[str]) -> int:
    """Run the program as ``python PROGRAM ARGUMENTS`` would; return its exit status."""
    sys.argv = [program, *arguments]
    sys.path[0] = str(Path(program).parent)
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


@contextlib.contextmanager
def logged(path: str) -> Iterator[None]:
    """Send standard output and standard error to the end of a file, those of libraries in C too."""
    saved = [os.dup(1), os.dup(2)]
    with open(path, "ab") as log:
        for target in (1, 2):
            os.dup2(log.fileno(), target)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for target, old in zip((1, 2), saved, strict=True):
            os.dup2(old, target)
            os.close(old)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Give back what a trial changes for the whole process: environment, folder, signals, a tracker's run."""
    environment, folder, path = dict(os.environ), os.getcwd(), list(sys.path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with warnings.catch_warnings():
            yield
    finally:
        tracker: Any = sys.modules.get("wandb")
        if tracker is not None and tracker.run is not None:
            tracker.finish()  # the next trial's logger would write into it
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.path[:] = path
        for number, handler in handlers.items():
            signal.signal(number, handler)
        gc.collect()


if __name__ == "__main__":
    serve(sys.argv[1])
