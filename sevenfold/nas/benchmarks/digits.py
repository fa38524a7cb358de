"""The embedded benchmark: all cells of NAS-Bench-201 trained on 8x8 digits, with their learning curves."""

from pathlib import Path

from sevenfold.nas.benchmarks.files import from_file
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark

FILE = Path(__file__).parents[1] / "digits" / "digits_nb201_v1.npz"


def digits_nb201(*, path: str | None = None) -> TableBenchmark:
    """All 15,625 cells of NAS-Bench-201 on scikit-learn's digits, with curves of 3 seeds and 20 epochs.

    Every split has accuracy and loss. Every functional class was trained once a seed.

    Args:
        path: table file of this kind, as the recipe ``nas/build_digits_nb201`` builds it; null: the one that
            comes with the package.
    """
    return from_file(path=str(FILE if path is None else path))
