"""Records, running numbers and the report of a study."""

from pathlib import Path

import pytorch_lightning as pl

from sevenfold.records import Record, RecordFiles, RunningMeans
from sevenfold.run_lock import alone
from sevenfold.study import Piece, Report, Study


class StudyReport(pl.Callback):
    """Writes every record as it ends, and once all are there the report.

    Args:
        study: the study whose pieces are predicted.
        shard: ``(i, n)``: this job is number i of n independent ones that fill one run folder.
    """

    def __init__(self, study: Study, *, shard: tuple[int, int] = (1, 1)) -> None:
        self.study, self.shard = study, shard
        self.report: Report | None = None
        self.complete = False
        self._means = RunningMeans(study.running)
        self._pieces = 0

    def files(self, trainer: pl.Trainer) -> RecordFiles:
        """Return the run folder's records, this process's file among them."""
        shard = f"shard_{self.shard[0]}_" if self.shard != (1, 1) else ""
        return RecordFiles(
            trainer.default_root_dir, f"{shard}rank_{trainer.global_rank}", timing=self.study.timing
        )

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: list[Record], batch: Piece, *_: int
    ) -> None:
        """Append the records; log running means of what the study names."""
        self.files(trainer).append(outputs)
        if outputs and trainer.is_global_zero:
            self._pieces += 1
            numbers = {"pieces": float(self._pieces), **self._means.add(outputs)}
            for logger in trainer.loggers:
                logger.log_metrics(numbers, step=self._pieces)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for all ranks; on rank zero merge the records and report, if all of them are there."""
        trainer.strategy.barrier("records")
        if trainer.is_global_zero:
            with alone(Path(trainer.default_root_dir) / ".merging"):
                self._merge(self.files(trainer))
        self.complete = trainer.strategy.broadcast(self.complete)

    def _merge(self, files: RecordFiles) -> None:
        done = files.keys()
        self.complete = all(done.issuperset(piece.keys) for piece in self.study.pieces())
        if self.complete:
            self.report = self.study.report(files.merge(), files.folder)

    def results(self) -> dict[str, float]:
        """Return the report's numbers, for ``results.json``."""
        return dict(self.report.scalars) if self.report is not None else {}
