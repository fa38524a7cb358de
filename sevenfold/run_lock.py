"""A lock on a run folder whose heartbeat tells a live run from one that was killed."""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HEARTBEAT = 10.0  # seconds between two signs of life
STALE = 60.0  # seconds without one after which a lock is void


class RunLock:
    """The file ``path``: its owner touches it every ten seconds; after a minute without, anybody may take it.

    It needs nothing of the file system but exclusive creation and times of change, so it works between the
    machines of a cluster. A lock whose owner ran on this machine and is gone is void at once.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.token = path, secrets.token_hex(8)
        self._ended = threading.Event()

    def acquire(self) -> bool:
        """Take the lock; return False if a live run has it."""
        if self.path.exists():
            taken = not is_live(self.path) and self._replace()
        else:
            taken = _create(self.path, self.token)
        if taken:
            threading.Thread(target=self._beat, daemon=True, name="run-lock").start()
        return taken

    def _replace(self) -> bool:
        """Put this lock in the place of one that is void; of several who try, one succeeds.

        Whoever would remove a void lock by its name alone could remove the new one of a faster process: only
        the holder of a second file may replace, and looks once more when it has that.
        """
        second = self.path.with_name(f"{self.path.name}.replacing")
        if not _create(second, self.token):
            if not is_live(second):  # killed within these lines
                second.unlink(missing_ok=True)
            return False
        try:
            if not self.path.exists() or is_live(self.path):
                return False
            new = self.path.with_name(f"{self.path.name}.{self.token}")
            _create(new, self.token)
            os.replace(new, self.path)
            return True
        finally:
            second.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            if _owner(self.path).get("token") != self.token:
                return  # void for a while, and somebody has taken it over
            with suppress(FileNotFoundError):
                os.utime(self.path)

    def release(self) -> None:
        """Give the lock back, unless somebody has taken it over."""
        self._ended.set()
        if _owner(self.path).get("token") == self.token:
            self.path.unlink(missing_ok=True)


def _create(path: Path, token: str) -> bool:
    """Create the file of a lock; return False if there is one."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            json.dump({"host": socket.gethostname(), "pid": os.getpid(), "token": token}, file)
    except FileExistsError:
        return False
    return True


def _owner(path: Path) -> dict[str, object]:
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # gone, or being written
        return {}
    return owner if isinstance(owner, dict) else {}


def is_live(path: Path) -> bool:
    """Tell whether the lock at ``path`` belongs to a live run."""
    owner = _owner(path)
    if owner.get("host") == socket.gethostname() and not _runs(owner.get("pid")):
        return False
    try:
        return _server_time(path.parent) - path.stat().st_mtime < STALE
    except FileNotFoundError:
        return False


def _runs(pid: object) -> bool:
    """Tell whether this machine has a process of that number; it may be a later one of another program."""
    try:
        os.kill(int(str(pid)), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:  # somebody else's process
        return True
    return True


def _server_time(folder: Path) -> float:
    """Return the time of the file system, which may not be this machine's."""
    probe = folder / f".time.{secrets.token_hex(4)}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait for the lock at ``path`` and hold it; for short work that two runs must not do at once."""
    lock = RunLock(path)
    while not lock.acquire():
        time.sleep(0.05)
    try:
        yield
    finally:
        lock.release()
