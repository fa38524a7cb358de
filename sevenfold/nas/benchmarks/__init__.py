"""Benchmark tables: accuracies, losses and times of trained architectures, looked up instead of trained.

Open one by name with :func:`load_benchmark`.
"""

from typing import TYPE_CHECKING, Annotated, Any

from sevenfold.config import Node, build
from sevenfold.tables import ComponentTable, OneOf

if TYPE_CHECKING:
    from sevenfold.nas.benchmarks.base import Benchmark

BENCHMARKS = ComponentTable(
    {
        "file": "sevenfold.nas.benchmarks.files:from_file",
        "digits-nb201": "sevenfold.nas.benchmarks.digits:digits_nb201",
        "nb101": "sevenfold.nas.benchmarks.converted:nb101",
        "nb201": "sevenfold.nas.benchmarks.converted:nb201",
        "nats-tss": "sevenfold.nas.benchmarks.converted:nats_tss",
        "nb301-logs": "sevenfold.nas.benchmarks.converted:nb301_logs",
        "nlp-logs": "sevenfold.nas.benchmarks.converted:nlp_logs",
        "nb201-cifar": "sevenfold.nas.benchmarks.supplied:nb201_cifar",
        "nb201-one-seed": "sevenfold.nas.benchmarks.supplied:nb201_one_seed",
        "nb201-seeds": "sevenfold.nas.benchmarks.nb201_seeds:nb201_seeds",
        "nb201-devices": "sevenfold.nas.benchmarks.nb201_seeds:nb201_devices",
        "spikenas": "sevenfold.nas.benchmarks.supplied:spikenas",
        "macro": "sevenfold.nas.benchmarks.supplied:macro",
        "graph": "sevenfold.nas.benchmarks.supplied:graph",
        "nlp-wikitext2": "sevenfold.nas.benchmarks.nlp_logs:nlp_wikitext2",
        "zc-nb101": "sevenfold.nas.benchmarks.zero_cost:zc_nb101",
        "zc-nb201": "sevenfold.nas.benchmarks.zero_cost:zc_nb201",
        "zc-nb301": "sevenfold.nas.benchmarks.zero_cost:zc_nb301",
        "zc-tnb-micro": "sevenfold.nas.benchmarks.zero_cost:zc_tnb_micro",
        "x11": "sevenfold.nas.x11.benchmark:x11",
        "synthetic-nb201": "sevenfold.nas.benchmarks.synthetic_nb201:SyntheticNB201",
        "uniform-nb201": "sevenfold.nas.benchmarks.synthetic_nb201:UniformNB201",
        "synthetic-nb101": "sevenfold.nas.benchmarks.synthetic_nb101:SyntheticNB101",
    },
    holds="benchmark tables",
)

BenchmarkNode = Annotated[Node, OneOf("sevenfold.nas.benchmarks:BENCHMARKS")]
"""Name and options of a benchmark."""

CONVERTERS = ComponentTable(
    {
        "nb101": "sevenfold.nas.benchmarks.nb101:pack",
        "nats-tss": "sevenfold.nas.benchmarks.nats:pack",
        "nb201": "sevenfold.nas.benchmarks.nats:pack",
        "nb301-logs": "sevenfold.nas.benchmarks.nb301_logs:pack",
        "nlp-logs": "sevenfold.nas.benchmarks.nlp_logs:pack",
        "table": "sevenfold.nas.benchmarks.files:pack",
    },
    holds="readers of published files",
    given=("path",),
)


def load_benchmark(name: str, **options: Any) -> "Benchmark":
    """Open the benchmark ``name`` of ``BENCHMARKS`` with the ``options`` of its entry.

    Its ``query`` takes n architectures and returns values (n,), accuracies in per cent; ``describe
    nas.benchmarks=NAME`` names the paper of each. ``"x11:FOLDER"`` opens an exported surrogate.

    >>> from sevenfold.nas import load_benchmark
    >>> bench = load_benchmark("synthetic-nb201")
    >>> bench.query(["|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"],
    ...             split="val", metric="acc", epoch="last", seed="mean")
    array([10.])
    """
    entry, _, path = str(name).partition(":")
    if entry in BENCHMARKS and path:  # any other colon belongs to package.module:Class
        name, options = entry, {**options, "path": path}
    benchmark: Benchmark = build(BENCHMARKS, {"name": name, **options}, "benchmark")
    return benchmark
