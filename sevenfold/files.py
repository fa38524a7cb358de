"""Files that are never half-written."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_file(path: str | Path) -> Iterator[Path]:
    """Yield the path of a temporary neighbor; when the block ends well, it takes the place of ``path``.

    The content is on disk before the name is: a reader, a kill or a power cut sees the old file or the new
    one, whole. When the block raises, the old file stays as it was. The temporary file keeps the ending of
    ``path``, because some writers choose the format by it.

    Example:
        >>> import tempfile, pathlib
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "note.txt"
        >>> with replace_file(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "empty"
    >>> file.touch()
    >>> file_hash(file)[:8]
    'e3b0c442'
    """
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole (UTF-8)."""
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
