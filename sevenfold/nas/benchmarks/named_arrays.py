"""Tables in the shape of NAS-Bench-201 whose arrays are named after what they hold."""

import re
from typing import Any

import numpy as np

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.columns import form_of
from sevenfold.nas.benchmarks.files import from_file, is_compact
from sevenfold.nas.benchmarks.table import Table
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark

NAME = re.compile(r"(?P<data>\w+)_(?P<split>train|val|test)_ep(?P<epochs>\d+)")


def open_path(path: str, dataset: str | None = None) -> TableBenchmark:
    """Open one data set of a table file by its path.

    A file in the compact form describes itself. An ``.npz`` that holds ``ops`` (n, 6), operation codes of
    NAS-Bench-201, and final accuracies (n,) called ``DATA_SPLIT_epEPOCHS``, such as ``cifar100_val_ep200``,
    has these as the data set "cifar100/200". Of "cifar100" the longest schedule is taken. Any other file is
    understood by the names of its columns (:mod:`sevenfold.nas.benchmarks.door`).
    """
    described = description(path)
    if dataset is not None and described is not None:
        schedules = [name for name in described["datasets"] if name.rpartition("/")[0] == dataset]
        # The longest schedule is what a name without one means in the papers.
        dataset = max(schedules, key=lambda name: int(name.rpartition("/")[2]), default=dataset)
    return from_file(path=path, description=described, dataset=dataset)


def datasets(path: str) -> list[str]:
    """Return the names of a file's data sets."""
    described = description(path)
    if described is None and not is_compact(path):
        return list(from_file(path=path).datasets)
    return list(Table.open(path, described).layout.datasets)


def description(path: str) -> dict[str, Any] | None:
    """Return the description of a file by the names of its arrays; None where these are of another kind."""
    if form_of(path) != ".npz" or path.endswith(".gz"):
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            names = list(file)
    except FileNotFoundError:
        raise InputError(f"table file '{path}' does not exist") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"'{path}' is no readable .npz without objects: {error}") from None
    # Nothing but the compact form has this array.
    if "meta" in names:
        return None
    content: dict[str, Any] = {}
    for name in names:
        if match := NAME.fullmatch(name):
            entry: dict[str, Any] = {"seeds": ["mean"], "epochs": [int(match["epochs"])], "series": {}}
            entry = content.setdefault(f"{match['data']}/{match['epochs']}", entry)
            entry["series"][f"{match['split']}/acc"] = {"array": name, "axes": "n"}
    if "ops" not in names or not content:
        return None
    return {"space": {"name": "nb201"}, "archs": "ops", "datasets": content}
