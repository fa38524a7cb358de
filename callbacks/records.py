"""Records of a ``predict`` run: one JSON line per trial, resumable, merged over ranks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BasePredictionWriter

from sevenfold.records import append_record, merge_shards, read_folder, summarize


class RecordsWriter(BasePredictionWriter):
    """Append every record that ``predict_step`` returns to this rank's shard; merge and summarize at the end.

    A record is a plain mapping with a unique ``key`` (what trial it is), optionally ``group`` (what to
    average over: means and spreads of its numeric fields become the run's results) and any fields. A step
    returns one record or a list of them. Trials already recorded are skipped by the data module, which reads
    the same folder.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="batch")
        self._records: list[dict[str, Any]] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Create the records folder."""
        records_folder(trainer).mkdir(parents=True, exist_ok=True)

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: dict[str, Any] | list[dict[str, Any]],
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Append to this rank's shard."""
        for record in prediction if isinstance(prediction, list) else [prediction]:
            append_record(records_folder(trainer) / f"rank_{trainer.global_rank}.jsonl", record)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for all ranks, merge on rank zero."""
        trainer.strategy.barrier("records")
        if trainer.is_global_zero:
            merge_shards(records_folder(trainer))
        trainer.strategy.barrier("merged")
        self._records = read_folder(records_folder(trainer))

    def results(self) -> dict[str, float]:
        """Return the summary of all records, for ``results.json``."""
        return summarize(self._records)


def records_folder(trainer: pl.Trainer) -> Path:
    """Return where a run keeps its records."""
    return Path(trainer.default_root_dir) / "records"
