"""The contract of what computes the pieces of a study."""

from abc import ABC, abstractmethod
from typing import Any

from sevenfold.ranges import Checked
from sevenfold.records import Record
from sevenfold.study import Context, Piece, Study


class Executor(Checked, ABC):
    """Computes pieces; up to ``window`` of them are still being computed when the last one is handed in."""

    window: int = 0

    @abstractmethod
    def start(self, study: Study[Any], context: Context) -> None:
        """Take the study whose pieces follow."""

    @abstractmethod
    def submit(self, piece: Piece) -> list[Record]:
        """Begin a piece; return the records of one that has ended, or nothing."""

    @abstractmethod
    def busy(self) -> bool:
        """Tell whether pieces are still being computed."""

    @abstractmethod
    def wait(self) -> list[Record]:
        """Return the records of the next piece that ends; nothing if none is being computed."""

    @abstractmethod
    def stop(self) -> None:
        """Let the workers go; pieces that have not ended are given up."""
