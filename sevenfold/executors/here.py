"""Pieces computed one after the other in this process."""

from typing import Any

from sevenfold.executors.base import Executor
from sevenfold.records import Record
from sevenfold.study import Context, Piece, Study, compute


class Here(Executor):
    """Compute every piece at once in this process."""

    def __init__(self) -> None:
        self.study: Study[Any] | None = None
        self.context: Context | None = None

    def start(self, study: Study[Any], context: Context) -> None:
        """Take the study whose pieces follow."""
        self.study, self.context = study, context

    def submit(self, piece: Piece) -> list[Record]:
        """Return the records of the piece."""
        assert self.study is not None and self.context is not None
        return compute(self.study, piece, self.context)

    def busy(self) -> bool:
        """Nothing is ever left over."""
        return False

    def wait(self) -> list[Record]:
        """Nothing is ever left over."""
        return []

    def stop(self) -> None:
        """There are no workers."""
