"""Run the pieces of a study as predictions."""

from collections.abc import Callable
from pathlib import Path

import pytorch_lightning as pl

from sevenfold.executors.base import Executor
from sevenfold.executors.here import Here
from sevenfold.ranges import Seed
from sevenfold.records import Record
from sevenfold.study import Context, Piece, Study


class StudyModule(pl.LightningModule):
    """Hands the pieces of ``datamodules.pieces.Pieces`` to an executor; a prediction is a list of records.

    Args:
        study: the study.
        seed: of all its random streams.
        executor: where pieces are computed; by default in this process.
        stopping: tells whether the run was asked to end: then no further piece is begun.
    """

    def __init__(
        self,
        study: Study,
        *,
        seed: Seed = 0,
        executor: Executor | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__()
        self.study, self.seed, self.executor = study, seed, executor or Here()
        self.stopping = stopping

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
        """Take up the workers."""
        self.executor.start(self.study, self.context())

    def predict_step(self, piece: Piece, batch_idx: int) -> list[Record]:
        """Return the records of this piece, or of one begun before that has ended; of none after a signal."""
        if self.stopping() or not piece.keys:
            return self.executor.wait()
        return self.executor.submit(piece)

    def on_predict_end(self) -> None:
        """Let the workers go."""
        self.executor.stop()
