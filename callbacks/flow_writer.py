"""Predicted flow as files: fields, color pictures, animations, and the layouts that benchmarks take."""

import time
from pathlib import Path
from typing import ClassVar

import pytorch_lightning as pl

from sevenfold.errors import InputError
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.field_files import FieldFiles
from sevenfold.flow.formats.layout import Layout
from sevenfold.ranges import Scale
from sevenfold.records import Record, append_record, merge_shards, summarize


class FlowWriter(pl.Callback):
    """Write each predicted field into ``predictions/`` of the run folder.

    Args:
        layout: "plain" is ``SEQUENCE/FRAME.flo`` (or the pair's name). "sintel" is what its server takes,
            ``clean|final/SCENE/frameNNNN.flo``; "kitti" is ``NNNNNN_10.png`` in KITTI's format. Both need the
            data module ``video``.
        color: write color pictures as well, into ``colors/`` of the run folder.
        radius: speed in px of the wheel's most saturated color; by default one scale a sequence.
        animation: write an animated ``colors/SEQUENCE.gif`` once a sequence is done.

    A finished sequence is recorded in ``records/``, so that an interrupted run continues with the next.
    """

    needs: ClassVar[type] = FlowBatch

    def __init__(
        self,
        *,
        layout: Layout = "plain",
        color: bool = True,
        radius: Scale | None = None,
        animation: bool = True,
    ) -> None:
        self.options = {"layout": layout, "color": color, "radius": radius, "animation": animation}
        self._evaluations: list[int] = []
        self._started = 0.0
        self._records: list[Record] = []

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make room for records, start the clock."""
        records_folder(trainer).mkdir(parents=True, exist_ok=True)
        self._files = FieldFiles(Path(trainer.default_root_dir), **self.options)
        self._started = time.monotonic()

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: FlowBatch, *_: int
    ) -> None:
        """Write the batch's fields; close its sequence with the last pair."""
        if not isinstance(outputs, dict) or "flow" not in outputs:
            raise InputError("flow_writer needs steps that return {'flow': ...}; use it with a model of flow")
        keys = [key for key in ("name", "sequence", "frame") if key in batch]
        for index, flow in enumerate(outputs["flow"]):
            self._files.write({key: batch[key][index] for key in keys}, flow)
        self._evaluations += outputs["evaluations"].tolist() if "evaluations" in outputs else []
        if "last" not in batch:
            self._files.close(None)
        elif bool(batch["last"][-1]):
            self._close(trainer, batch["sequence"][-1])

    def _close(self, trainer: pl.Trainer, sequence: str) -> None:
        """Animate and record a sequence."""
        self._files.close(sequence)
        pairs, now = len(self._evaluations), time.monotonic()
        record = {
            "key": sequence,
            "group": "video",
            "pairs": pairs,
            "evaluations": sum(self._evaluations) / max(pairs, 1),
            "seconds_per_pair": (now - self._started) / max(pairs, 1),
        }
        append_record(records_folder(trainer) / f"rank_{trainer.global_rank}.jsonl", record)
        self._evaluations, self._started = [], now

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for all ranks, merge the records on rank zero."""
        trainer.strategy.barrier("flow records")
        if trainer.is_global_zero:
            self._records = merge_shards(records_folder(trainer))

    def results(self) -> dict[str, float]:
        """Return the means over all sequences, for ``results.json``."""
        return summarize(self._records)


def records_folder(trainer: pl.Trainer) -> Path:
    """Return where a run keeps its records."""
    return Path(trainer.default_root_dir) / "records"
