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
        taken = self._take(self.path)
        if taken:
            threading.Thread(target=self._beat, daemon=True, name="run-lock").start()
        return taken

    def _take(self, path: Path) -> bool:
        """Create the file of a lock, or put this lock in the place of one that is void.

        Whoever would remove a void lock by its name alone could remove the new one of a faster process. So
        a void lock has one heir, the holder of a second lock that is named after the first one's token; only
        the heir replaces it, after another look at it. Of several who try, one succeeds; an heir that was
        killed within these lines is itself replaced in the same way.
        """
        while not _create(path, self.token):
            text = _text(path)
            if text is None:  # given back meanwhile
                continue
            if is_live(path):
                return False
            heir = path.with_name(f"{path.name}.{_parsed(text).get('token', 'unreadable')}")
            if not self._take(heir):
                return False
            if _text(path) == text:
                os.replace(heir, path)
                return True
            heir.unlink(missing_ok=True)  # it was replaced, or given back, before this one became the heir
        return True

    def held(self) -> bool:
        """Tell whether the lock is still this one's, which it is unless it was void for a while."""
        return _owner(self.path).get("token") == self.token

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            if not self.held():
                return  # void for a while, and somebody has taken it over
            with suppress(FileNotFoundError):
                os.utime(self.path)

    def release(self) -> None:
        """Give the lock back, unless somebody has taken it over."""
        self._ended.set()
        if self.held():
            self.path.unlink(missing_ok=True)


def _create(path: Path, token: str) -> bool:
    """Create the file of a lock; return False if there is one.

    The file appears with its content: a kill leaves no lock without an owner.
    """
    pid = os.getpid()
    text = json.dumps({"host": socket.gethostname(), "pid": pid, "born": _born(pid), "token": token})
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    draft.write_text(text, encoding="utf-8")
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        return _create_in_steps(path, text)
    finally:
        draft.unlink(missing_ok=True)
    return True


def _create_in_steps(path: Path, text: str) -> bool:
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _parsed(text: str | None) -> dict[str, object]:
    try:
        owner = json.loads(text or "")
    except ValueError:  # being written, on a file system without hard links
        return {}
    return owner if isinstance(owner, dict) else {}


def _owner(path: Path) -> dict[str, object]:
    return _parsed(_text(path))


def is_live(path: Path) -> bool:
    """Tell whether the lock at ``path`` belongs to a live run."""
    owner = _owner(path)
    if owner.get("host") == socket.gethostname() and not _runs(owner.get("pid"), owner.get("born")):
        return False
    try:
        return _server_time(path.parent) - path.stat().st_mtime < STALE
    except FileNotFoundError:
        return False


def _runs(pid: object, born: object) -> bool:
    """Tell whether this machine still has the process of that number that was started at ``born``."""
    try:
        os.kill(int(str(pid)), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:  # somebody else's process
        return True
    # Numbers are used again: another start is another process. Without /proc the number must do.
    return born in (None, _born(int(str(pid))))


def _born(pid: int) -> str | None:
    """Return when a process was started, "dead" for one that only its parent has not noticed to be.

    None where the system does not tell.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # Of proc(5): field 3 is the state, 22 the time; the second, in brackets, may hold blanks.
    fields = stat.rpartition(")")[2].split()
    return "dead" if fields[0] in "ZX" else fields[19]


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
