"""The embedded benchmark: NAS-Bench-201's cells trained on 8x8 digits, all of them, with all curves."""

from pathlib import Path

from sevenfold.nas.benchmarks.files import from_file
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark

FILE = Path(__file__).parents[1] / "digits" / "digits_nb201_v1.npz"


def digits_nb201(*, path: str | None = None) -> TableBenchmark:
    """All 15,625 cells on scikit-learn's digits: 3 seeds, 20 epochs, every split's accuracy and loss.

    Every functional class was trained once a seed. The file comes with the package; ``path`` names another
    of its kind, which ``configs/nas/build_digits_nb201.yaml`` builds.
    """
    return from_file(path=str(FILE if path is None else path))
