"""What a run costs: seconds per batch and peak memory, stage by stage."""

import statistics

import pytorch_lightning as pl
import torch

from sevenfold.measuring import now, peak_bytes
from sevenfold.ranges import NonNegativeInt


class Cost(pl.Callback):
    """Measure the median time of a batch and the peak memory of each stage, on every rank for itself.

    Results are ``cost/STAGE/seconds_per_batch`` and ``cost/STAGE/peak_mib``: what the GPU allocator held at
    most in that stage, or without a GPU the largest size of the process so far.

    Args:
        skip: batches at the beginning of each stage that are not timed, for they warm up.
    """

    def __init__(self, *, skip: NonNegativeInt = 2) -> None:
        self.skip = skip
        self._times: dict[str, list[float]] = {}
        self._peaks: dict[str, float] = {}
        self._begun = 0.0

    def _begin(self, *_: object, **__: object) -> None:
        """Take the time at which a batch begins."""
        self._begun = now()

    on_train_batch_start = on_validation_batch_start = _begin
    on_test_batch_start = on_predict_batch_start = _begin

    def _end(self, stage: str) -> None:
        self._times.setdefault(stage, []).append(now() - self._begun)

    def on_train_batch_end(self, *_: object) -> None:
        """Time a training batch, optimizer included."""
        self._end("train")

    def on_validation_batch_end(self, *_: object) -> None:
        """Time a validation batch."""
        self._end("val")

    def on_test_batch_end(self, *_: object) -> None:
        """Time a test batch."""
        self._end("test")

    def on_predict_batch_end(self, *_: object) -> None:
        """Time a predicted batch."""
        self._end("predict")

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Forget earlier peaks of the GPU."""
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Note the stage's peak."""
        name = {"fit": "train", "validate": "val", "test": "test", "predict": "predict"}[stage]
        self._peaks[name] = peak_bytes() / 2**20

    def results(self) -> dict[str, float]:
        """Return times and peaks by stage."""
        timed = {stage: times[self.skip :] or times for stage, times in self._times.items()}
        return {
            **{f"cost/{stage}/seconds_per_batch": statistics.median(times) for stage, times in timed.items()},
            **{f"cost/{stage}/peak_mib": peak for stage, peak in self._peaks.items()},
        }
