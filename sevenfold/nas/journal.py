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
            self._file = path.open("a", encoding="utf-8")
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
        """Write an event; it is on disk when this returns."""
        entry = {"event": event, **fields}
        self._file.write(json.dumps(entry) + "\n")
        # A killed process loses what is in its buffer, a machine without power what is in the system's.
        self._file.flush()
        os.fsync(self._file.fileno())
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
