"""Official benchmarks, once their files are converted to the compact form.

``python -m sevenfold.nas.benchmarks.convert`` makes the files.
"""

from pathlib import Path

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.table import Table
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark


def nb101(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """NAS-Bench-101, with budgets of 4, 12, 36 and 108 epochs and runs of each.

    Args:
        root: folder that holds the file ``nb101.npz``.
        dataset: data set of the table; null: the only one.
    """
    return _open(root, "nb101", dataset)


def nats_tss(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """NATS-Bench topology (NAS-Bench-201) with all learning curves.

    Its data sets are those of ``benchmarks.nats``.

    Args:
        root: folder that holds the file ``nats-tss.npz``.
        dataset: data set with its schedule, such as ``cifar10-valid/200``; null where there is only one.
    """
    return _open(root, "nats-tss", dataset)


def nb201(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """NAS-Bench-201 from its ``.pth`` files, with the same data sets as ``nats-tss``.

    Args:
        root: folder that holds the file ``nb201.npz``.
        dataset: data set with its schedule, such as ``cifar10-valid/200``; null where there is only one.
    """
    return _open(root, "nb201", dataset)


def nb301_logs(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """Learning curves of DARTS architectures on CIFAR-10, from the training logs of NAS-Bench-301.

    Args:
        root: folder that holds the file ``nb301-logs.npz``.
        dataset: data set of the table; null: the only one.
    """
    return _open(root, "nb301-logs", dataset)


def nlp_logs(*, root: str = "data/nas", dataset: str | None = None) -> TableBenchmark:
    """Learning curves of recurrent cells, from the training logs of NAS-Bench-NLP.

    Args:
        root: folder that holds the file ``nlp-logs.npz``.
        dataset: data set of the table; null: the only one.
    """
    return _open(root, "nlp-logs", dataset)


def _open(root: str, name: str, dataset: str | None) -> TableBenchmark:
    path = Path(root) / f"{name}.npz"
    if not path.is_file():
        raise InputError(
            f"'{path}' does not exist; make it from the official files with "
            f"python -m sevenfold.nas.benchmarks.convert {name} SOURCE {path}"
        )
    return TableBenchmark(Table.open(path), dataset=dataset)
