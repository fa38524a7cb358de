"""Run the pieces of a study as predictions."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

from lightning_modules.loadable import Loadable
from sevenfold.config import Node, build
from sevenfold.errors import InputError
from sevenfold.executors.base import Executor
from sevenfold.executors.here import Here
from sevenfold.ranges import Seed
from sevenfold.recorded import node_of
from sevenfold.records import Record, RecordFiles
from sevenfold.studies import STUDIES
from sevenfold.study import Context, Piece, Report, Study, compute


class StudyModule(Loadable):
    """Hands the pieces of ``datamodules.pieces.Pieces`` to an executor; a prediction is a list of records.

    ``folder`` is the run folder whose records and report it has, where :func:`sevenfold.load.load` opened it.

    Args:
        study: the study.
        seed: of all its random streams.
        executor: where pieces are computed; by default in this process.
        stopping: tells whether the run is to end: then no further piece is started.
    """

    def __init__(
        self,
        study: Study,
        *,
        seed: Seed = 0,
        executor: Executor | None = None,
        stopping: Callable[[], bool] = bool,  # bool() is False
    ) -> None:
        super().__init__()
        self.save_hyperparameters({"study": node_of(STUDIES, study)}, logger=False)
        self.study, self.seed, self.executor = study, seed, executor or Here()
        self.stopping = stopping
        self.folder: Path | None = None

    @classmethod
    def make(cls, options: Node) -> Self:
        """Return a module with the study that its options name; nothing is opened."""
        study = build(STUDIES, options["study"], "study")
        return cls(study, **{name: value for name, value in options.items() if name != "study"})

    def __getstate__(self) -> dict[str, object]:
        """Leave behind what belongs to this process."""
        return {**super().__getstate__(), "executor": Here(), "stopping": bool}

    def forward(self, piece: Piece) -> list[Record]:
        """Return the records of a piece, computed here; artefacts go into the current folder."""
        return compute(self.study, piece, Context(self.folder or Path(), self.device, self.seed))

    def records(self) -> list[Record]:
        """Return the records of the run folder, in the order of their keys."""
        return RecordFiles(self._folder(), timing=self.study.timing).read()

    def report(self) -> Report:
        """Return the report of the run folder's records; its pictures are drawn again."""
        return self.study.report(self.records(), self._folder())

    def _folder(self) -> Path:
        if self.folder is None:
            raise InputError("this study has no run folder: open one with sevenfold.load(FOLDER)")
        return self.folder

    def context(self) -> Context:
        """Return where and how pieces are computed."""
        return Context(
            Path(self.trainer.default_root_dir),
            self.device,
            self.seed,
            progress=self.progress,
            stopping=self.stopping,
        )

    def progress(self, fraction: float, **scalars: float) -> None:
        """Hand running numbers of a long piece to the loggers."""
        for logger in self.trainer.loggers:
            logger.log_metrics({"piece/fraction": fraction, **scalars})

    def on_predict_start(self) -> None:
        """Start the workers."""
        self.executor.start(self.study, self.context())

    def predict_step(self, piece: Piece, batch_idx: int) -> list[Record]:
        """Return the records of this piece, or of an earlier one that has ended; of none after a signal."""
        if self.stopping() or not piece.keys:
            return self.executor.wait()
        return self.executor.submit(piece)

    def on_predict_end(self) -> None:
        """Let the workers go."""
        self.executor.stop()
