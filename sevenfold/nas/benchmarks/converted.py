"""Official benchmarks, once converted to the compact form: ``root`` is the folder that holds the file.

``python -m sevenfold.nas.benchmarks.convert`` makes the files.
"""

from pathlib import Path

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.table import Table
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark


def nb101(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """NAS-Bench-101: budgets of 4, 12, 36 and 108 epochs, each with its own runs."""
    return _open(root, "nb101", dataset)


def nats_tss(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """NATS-Bench topology (NAS-Bench-201) with all learning curves; see ``nats.py`` for its data sets."""
    return _open(root, "nats-tss", dataset)


def nb201(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """NAS-Bench-201 from its ``.pth`` files; the same data sets as ``nats-tss``."""
    return _open(root, "nb201", dataset)


def nb301_logs(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """NAS-Bench-301's training logs: learning curves of DARTS architectures on CIFAR-10."""
    return _open(root, "nb301-logs", dataset)


def nlp_logs(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """NAS-Bench-NLP's training logs: learning curves of recurrent cells."""
    return _open(root, "nlp-logs", dataset)


def _open(root: str, name: str, dataset: str | None) -> TableBenchmark:
    path = Path(root) / f"{name}.npz"
    if not path.is_file():
        raise InputError(
            f"'{path}' does not exist; make it from the official files with "
            f"python -m sevenfold.nas.benchmarks.convert {name} SOURCE {path}"
        )
    return TableBenchmark(Table.open(path), dataset=dataset)
