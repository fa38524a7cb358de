"""What a benchmark holds, in numbers: sizes, what is missing, the optimum of every split."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.benchmarks.table import Table
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark


def summarize(benchmark: Benchmark) -> Iterator[dict[str, Any]]:
    """Yield a record for each series of a benchmark that lists its architectures.

    ``missing`` of ``values`` are not there; of ``runs``, ``empty`` have no value and ``partial`` some.
    ``best`` is the optimum at the end of the schedule in the mean over runs and ``arch`` the first that has
    it; both are None where nothing was measured.
    """
    for key in benchmark.series:
        split, _, metric = key.partition("/")
        curves = benchmark.curves(benchmark.archs, split=split, metric=metric, seed="all")
        last = benchmark.query(benchmark.archs, split=split, metric=metric, epoch="last", seed="mean")
        record: dict[str, Any] = {"dataset": benchmark.dataset, "series": key, **curves.counts()}
        record |= {"best": None, "arch": None}
        if not np.isnan(last).all():
            optimum = benchmark.optimum(split=split, metric=metric, epoch="last", seed="mean")
            record["best"] = optimum.value
            record["arch"] = benchmark.space.to_strings(optimum.archs[:1])[0]
        yield record


def report(table: Table) -> Iterator[str]:
    """Yield lines of text about every data set of a table."""
    for name in table.layout.datasets:
        bench = TableBenchmark(table, dataset=name)
        seeds = ", ".join(map(str, bench.seeds))
        yield f"{name}: {len(bench.archs)} architectures, {len(bench.epochs)} epochs, seeds {seeds}"
        for record in summarize(bench):
            best = "nothing measured" if record["best"] is None else f"best {record['best']:.6g}"
            yield (
                f"  {record['series']}: {best}; {record['missing']} of {record['values']} values missing, "
                f"{record['empty']} of {record['runs']} runs empty, {record['partial']} partial"
            )
