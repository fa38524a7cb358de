"""Describe benchmark tables."""

import pytorch_lightning as pl

from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.benchmarks.description import Description, describe


class BenchmarkDescription(pl.LightningModule):
    """Measure a benchmark's spread of accuracies and the stability of its ranking.

    Items are benchmarks (``datamodules.nas.Benchmarks``).
    """

    def predict_step(self, benchmark: Benchmark, batch_idx: int) -> Description:
        """Return the description, which the callback ``benchmark_figures`` reports and draws."""
        return describe(benchmark)
