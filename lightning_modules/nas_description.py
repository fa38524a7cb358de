"""Describe benchmark tables."""

import pytorch_lightning as pl

from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.benchmarks.description import Description, describe


class BenchmarkDescription(pl.LightningModule):
    """Measure a benchmark's spread of accuracies and the stability of its ranking.

    Items are benchmarks (``datamodules.nas.Benchmarks``). The last description stays in ``description``, for
    the callback that reports and draws it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.description: Description | None = None

    def predict_step(self, benchmark: Benchmark, batch_idx: int) -> None:
        """Describe a benchmark."""
        self.description = describe(benchmark)
