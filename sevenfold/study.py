"""Studies: experiments over many independent pieces of work, whose records make one report.

A study names its pieces, computes the records of any one of them, and draws its report from records and
artefacts alone. What runs it (a loop here, worker processes, a Ray cluster, the ranks of a distributed job,
the shards of a job array) changes nothing in the records.
"""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

import torch

from sevenfold.errors import InputError
from sevenfold.ranges import Checked
from sevenfold.recorded import Recorded
from sevenfold.records import Record, RecordFiles
from sevenfold.report import Report, Section, Table

if TYPE_CHECKING:
    from sevenfold.executors.base import Executor


__all__ = ["Context", "Piece", "Records", "Report", "Section", "Study", "Table", "compute"]


@dataclass(frozen=True)
class Piece:
    """A unit of work: the ``keys`` of the records that it yields, and the ``group`` they are averaged in.

    Pieces are cheap to make and to pickle: they name tables, networks and priors and do not hold them.
    """

    keys: tuple[str, ...]
    group: str


P = TypeVar("P", bound=Piece)


def _no_progress(fraction: float, **scalars: float) -> None:
    """Report progress to nobody."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Context:
    """Where and how a piece is computed.

    Args:
        folder: the run folder; artefacts go below it, written with :func:`sevenfold.files.replace_file`.
        device: where tensors are computed.
        seed: the run's seed; random streams are derived from it and from names (:mod:`sevenfold.seeding`).
        progress: called as ``progress(fraction, **scalars)`` from within a long piece.
        stopping: true once the run is to end (after SIGTERM, say): a long piece may return early, without
            records, at a point from which it can be resumed.
    """

    folder: Path
    device: torch.device = torch.device("cpu")
    seed: int = 0
    progress: Callable[..., None] = field(default=_no_progress, compare=False)
    stopping: Callable[[], bool] = field(default=_never, compare=False)


class Records(list[Record]):
    """The records of a study, in the order of their keys, and the ``folder`` that holds their artefacts."""

    def __init__(self, records: Sequence[Record], folder: Path) -> None:
        super().__init__(records)
        self.folder = folder


class Study(Checked, Recorded, ABC, Generic[P]):
    """A kind of experiment; the constructor's signature is the schema of everything that can be set.

    A constructor checks its options and opens nothing: a report must be possible where the data is not.

    Class attributes:
        devices: ``"cpu"`` for a study of tables and NumPy, which must not occupy an accelerator.
        gradients: whether pieces are computed with autograd switched on.
        timing: fields of records that depend on the machine; they are stored apart from the others.
        running: fields whose mean over the records so far is logged, group by group, while pieces end.
    """

    devices: ClassVar[Literal["any", "cpu"]] = "any"
    gradients: ClassVar[bool] = True
    timing: ClassVar[tuple[str, ...]] = ()
    running: ClassVar[tuple[str, ...]] = ()

    def check(self) -> None:  # noqa: B027 (most studies have nothing to open)
        """Open the data and refuse, with ``ConfigError``, what does not fit together; compute nothing."""

    @abstractmethod
    def pieces(self) -> Sequence[P]:
        """Return all units of work, in order; the same list in every process."""

    @abstractmethod
    def run(self, piece: P, context: Context) -> list[Record]:
        """Compute a piece: one record for each of its keys, depending on study, piece and seed alone.

        A record is a plain mapping with its ``key``, the ``group`` it is averaged in, and any fields. Fewer
        records are returned only when ``context.stopping()``.
        """

    @abstractmethod
    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return the report of some or all records; draw pictures into ``folder/images``.

        It is drawn from options, records and artefacts alone: no data set is opened and no device is used.
        """

    @classmethod
    @abstractmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the given options changed so that the whole study runs in seconds, without files."""

    def run_all(
        self,
        folder: str | Path | None = None,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
        executor: "Executor | None" = None,
    ) -> Records:
        """Compute every piece whose records ``folder`` does not hold yet; return all records.

        Args:
            folder: where records and artefacts are stored, so that an interrupted call can be repeated;
                without one, a new temporary folder (see ``records.folder``).
            seed: of all random streams.
            device: where tensors are computed.
            executor: where pieces are computed (:data:`sevenfold.executors.EXECUTORS`); by default here.
        """
        from sevenfold.executors.here import Here

        self.check()
        place = Path(folder) if folder is not None else Path(tempfile.mkdtemp(prefix="sevenfold-"))
        place.mkdir(parents=True, exist_ok=True)
        files = RecordFiles(place, timing=self.timing)
        done = files.keys()
        executor = executor or Here()
        executor.start(self, Context(place, torch.device(device), seed))
        try:
            for piece in self.pieces():
                if not done.issuperset(piece.keys):
                    files.append(executor.submit(piece))
            while executor.busy():
                files.append(executor.wait())
        finally:
            executor.stop()
        return Records(files.merge(), place)

    def report(self, records: Sequence[Record], folder: str | Path | None = None) -> Report:
        """Return the report of records; ``folder`` holds their artefacts (by default ``records.folder``)."""
        place = folder if folder is not None else getattr(records, "folder", None)
        if place is None:
            raise ValueError("report() needs the folder of the records' artefacts: give it as 'folder'")
        return self.summarize(sorted(records, key=lambda record: str(record["key"])), Path(place))


def compute(study: Study[P], piece: P, context: Context) -> list[Record]:
    """Compute a piece in the grad mode that its study asks for, whatever the caller's mode is.

    An error names the piece.
    """
    name = piece.keys[0] if piece.keys else piece.group
    with torch.inference_mode(False), torch.set_grad_enabled(study.gradients):
        try:
            return study.run(piece, context)
        except InputError as error:
            raise InputError(f"piece '{name}': {error}") from None
        except Exception as error:
            error.add_note(f"while computing piece '{name}'")
            raise
