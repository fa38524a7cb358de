"""The journal of a problem: one JSON line an event, by one writer, on disk before anything follows."""

import json
import os
from pathlib import Path
from typing import Any

from sevenfold.errors import InputError
from sevenfold.run_lock import RunLock

Event = dict[str, Any]


class Journal:
    """Events of a file, in order; a last line that a kill cut short is dropped.

    Raises ``InputError`` where another live process writes the file, and for any other damage, by its line.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "trials.jsonl"
    >>> with Journal(path) as journal:
    ...     journal.append("stopped", why="budget")
    >>> with Journal(path) as journal:
    ...     journal.events
    [{'event': 'stopped', 'why': 'budget'}]
    """

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, RunLock(path.with_name(f"{path.name}.lock"))
        if not self._lock.acquire():
            raise InputError(f"{path} is open in another process; wait for it or stop it")
        try:
            path.touch()
            self.events = self._read()
            # Unbuffered: what is written is the system's at once, whatever becomes of this process.
            self._file = path.open("ab", buffering=0)
        except BaseException:
            self._lock.release()
            raise

    def _read(self) -> list[Event]:
        data = self.path.read_bytes()
        # Without an end of line the event was being written when the process died; nothing followed from it.
        whole = data[: data.rfind(b"\n") + 1]
        events = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if not isinstance(event, dict) or "event" not in event:
                raise InputError(f"{self.path}, line {number} is no event of a journal; restore the file")
            events.append(event)
        if len(whole) < len(data):
            os.truncate(self.path, len(whole))
        return events

    def append(self, event: str, **fields: Any) -> None:
        """Write an event; it is on disk when this returns.

        ``InputError`` where another process has taken the journal over, because this one was silent so long.
        """
        if not self._lock.held():
            raise InputError(f"{self.path} was taken over by another process; this one writes no more")
        entry = {"event": event, **fields}
        size = self._file.tell()
        try:
            line = memoryview((json.dumps(entry) + "\n").encode())
            while line:
                line = line[self._file.write(line) :]
            # A killed process loses nothing from here on, a machine without power the system's buffer.
            os.fsync(self._file.fileno())
        except OSError:  # a full disk: half a line would be glued to the next one
            self._file.truncate(size)
            raise
        self.events.append(entry)

    def close(self) -> None:
        """End writing and let others write."""
        self._file.close()
        self._lock.release()

    def __enter__(self) -> "Journal":
        """Return the journal."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the journal."""
        self.close()
