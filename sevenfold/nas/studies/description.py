"""Description of a benchmark table: spread of accuracies, learning curves, stability of the ranking."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.config import build
from sevenfold.files import replace_file
from sevenfold.nas.benchmarks import BENCHMARKS, BenchmarkNode
from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.benchmarks.description import Description, describe
from sevenfold.nas.studies.table import DIGITS
from sevenfold.records import Record
from sevenfold.report import format_value
from sevenfold.study import Context, Piece, Report, Section, Study

KEY = "description"
ROWS = 13  # of the headline table, its header counted
TEXT = (
    "Accuracies in percent, of the mean of all trainings; tau is Kendall's rank correlation: between two "
    "trainings, between validation and test, and between one training's first epochs and the mean's end."
)


class DescriptionStudy(Study[Piece]):
    """Measure a benchmark's spread of accuracies and the stability of its ranking.

    Args:
        benchmark: name and options of a benchmark that has validation and test curves of at least two
            trainings of every architecture.
    """

    devices = "cpu"

    def __init__(self, *, benchmark: BenchmarkNode = DIGITS) -> None:
        self.benchmark = benchmark

    @cached_property
    def table(self) -> Benchmark:
        """The benchmark."""
        table: Benchmark = build(BENCHMARKS, self.benchmark, "benchmark")
        return table

    def check(self) -> None:
        """Open the benchmark."""
        _ = self.table

    def pieces(self) -> Sequence[Piece]:
        """Return the one piece."""
        return [Piece((KEY,), KEY)]

    def run(self, piece: Piece, context: Context) -> list[Record]:
        """Describe the benchmark; its arrays are stored in ``description.npz``."""
        description = describe(self.table)
        with replace_file(context.folder / "description.npz") as path:
            np.savez_compressed(path, **vars(description))
        return [{"key": KEY, "group": KEY, **description.numbers()}]

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Return the headline numbers and one figure."""
        if not records:
            return Report("Benchmark", [])
        with np.load(folder / "description.npz") as file:
            arrays = {name: file[name] for name in file.files}
        arrays |= {name: tuple(arrays[name].tolist()) for name in ("epochs", "seed_taus")}
        arrays["split_tau"] = float(arrays["split_tau"])
        picture = folder / "images/benchmark.png"
        draw(Description(**arrays), picture)
        numbers = {name: value for name, value in records[0].items() if name not in ("key", "group")}
        rows = [["", "value"], *([name, format_value(value)] for name, value in numbers.items())]
        everything = Section("All numbers", [TEXT], rows)
        return Report(
            f"Benchmark {self.benchmark['name']}",
            rows[:ROWS],
            verdict(numbers),
            [everything],
            [picture],
            numbers,
        )

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options as they are: a description takes seconds."""
        return dict(options)


def verdict(numbers: Mapping[str, Any]) -> list[str]:
    """Return two sentences on the spread of accuracies and on the noise of the ranking."""
    return [
        f"Half of the networks end above {numbers['val_acc_p50']:.3g} % validation accuracy, the best at "
        f"{numbers['val_acc_p100']:.4g} %.",
        f"Two trainings of each rank the networks with tau {numbers['tau_seeds']:.2f}; the standard "
        f"deviation is {numbers['val_acc_std_seeds']:.2g} points between them and "
        f"{numbers['val_acc_std_networks']:.3g} between networks.",
    ]


def draw(benchmark: Description, path: Path) -> None:
    """Draw a description's histogram, quantiles of its curves and rank correlations by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    histogram, curves, ranks = figure.subplots(1, 3)
    histogram.hist(benchmark.final, bins=60)
    histogram.set(xlabel="validation accuracy, mean of the runs, %", ylabel="networks")
    for share in (5, 25, 50, 75, 95):
        curves.plot(
            benchmark.epochs, np.percentile(benchmark.curves.mean(axis=1), share, axis=0), label=f"{share} %"
        )
    curves.set(xlabel="epoch", ylabel="validation accuracy, %", title="quantiles over networks")
    curves.legend()
    ranks.plot(benchmark.epochs, benchmark.epoch_taus, label="one run, epoch e, to the mean's end")
    ranks.axhline(np.mean(benchmark.seed_taus), color="gray", linestyle="--", label="two runs, last epoch")
    ranks.axhline(benchmark.split_tau, color="gray", linestyle=":", label="val to test, mean runs")
    ranks.set(xlabel="epoch", ylabel="Kendall's tau", ylim=(0, 1))
    ranks.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
