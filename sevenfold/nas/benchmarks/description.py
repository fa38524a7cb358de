"""What a benchmark's accuracies look like, and how far one run can be trusted to rank architectures."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.benchmarks.networks import distinct

PERCENTILES = (0, 10, 25, 50, 75, 90, 100)


@dataclass(frozen=True)
class Description:
    """Final accuracies (percent), their validation curves, and rank correlations (Kendall's tau-b).

    ``final`` (n,) is the validation accuracy of the mean run, ``curves`` (n, R, E) all validation curves.
    ``seed_taus`` compares the runs in pairs at the last epoch, ``split_tau`` validation with test of the mean
    run, and ``epoch_taus`` (E,) the first run after each epoch with the mean run's end.
    """

    final: NDArray[np.float64]
    curves: NDArray[np.float64]
    epochs: tuple[int, ...]
    seed_taus: tuple[float, ...]
    split_tau: float
    epoch_taus: NDArray[np.float64]

    def numbers(self) -> dict[str, float]:
        """Return the headline numbers by flat name."""
        spread = self.curves[:, :, -1]
        early = [epoch for epoch in (1, 3, 5, 10, 15, 50, 100) if epoch in self.epochs]
        return {
            "networks": float(len(self.final)),
            **{f"val_acc_p{p}": float(np.percentile(self.final, p)) for p in PERCENTILES},
            "val_acc_std_networks": float(self.final.std()),
            # Variances are averaged, not deviations: the pooled estimate of the noise of one training.
            "val_acc_std_seeds": float(np.sqrt(spread.var(axis=1, ddof=1).mean())),
            "tau_seeds": float(np.mean(self.seed_taus)),
            "tau_seeds_min": min(self.seed_taus),
            "tau_val_test": self.split_tau,
            **{f"tau_epoch_{e}": float(self.epoch_taus[self.epochs.index(e)]) for e in early},
        }


def describe(benchmark: Benchmark) -> Description:
    """Describe a benchmark with validation and test curves of several runs; each network counts once."""
    if len(benchmark.seeds) < 2 or "test/acc" not in benchmark.series or "val/acc" not in benchmark.series:
        raise InputError(
            f"{benchmark.dataset}: a description needs val/acc and test/acc of two seeds, it has "
            f"{', '.join(benchmark.series)} and seeds {benchmark.seeds}"
        )
    # Many cells are one network: counted each, they would tie and raise every correlation.
    archs = distinct(benchmark.space, benchmark.archs)
    final, test = (
        benchmark.query(archs, split=split, metric="acc", epoch="last", seed="mean")
        for split in ("val", "test")
    )
    curves = benchmark.curves(archs, split="val", metric="acc", seed="all").values
    pairs = itertools.combinations(range(curves.shape[1]), 2)
    return Description(
        final,
        curves,
        benchmark.epochs,
        tuple(_tau(curves[:, a, -1], curves[:, b, -1]) for a, b in pairs),
        _tau(final, test),
        np.array([_tau(curves[:, 0, e], final) for e in range(curves.shape[2])]),
    )


def _tau(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(kendalltau(first, second).statistic)
