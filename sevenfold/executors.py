"""Where the pieces of a study are computed: here, in worker processes, or on a Ray cluster."""

from abc import ABC, abstractmethod
from typing import Any

from sevenfold.records import Record
from sevenfold.study import Context, Piece, Study, compute

EXECUTORS: dict[str, str] = {
    "here": "sevenfold.executors:Here",
    "processes": "sevenfold.executors:Processes",
    "ray": "sevenfold.executors:RayCluster",
}


class Executor(ABC):
    """Computes pieces, up to ``window`` of them at a time besides the one that is handed in."""

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
