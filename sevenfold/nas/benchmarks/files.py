"""Benchmarks from files: the compact form, or any table with a description."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.base import only
from sevenfold.nas.benchmarks.columns import form_of, read_columns
from sevenfold.nas.benchmarks.door import open_data
from sevenfold.nas.benchmarks.table import Table, layout
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark


def from_file(
    *,
    path: str,
    description: Mapping[str, Any] | None = None,
    dataset: str | None = None,
    hints: Mapping[str, Any] | None = None,
) -> TableBenchmark:
    """Table file in the compact form, or any file of trainings.

    The compact form is an ``.npz`` that describes itself. Any other file is understood by the names of its
    columns (``benchmarks.door``), unless a description says what its arrays are; columns are arrays then, and
    wherever the description names an array it may list several columns, which become the second axis.

    Args:
        path: table file.
        description: what the arrays of the file are, as ``benchmarks.table`` says; null: the file describes
            itself, or is understood by its names.
        dataset: data set of the table; null: the only one.
        hints: what overrides decisions about a file without a description, as ``benchmarks.door`` names them.
    """
    if description is None and not is_compact(path):
        benchmark, _ = open_data(path, **(hints or {}))
        only(dataset, benchmark.datasets, "data set")
        return benchmark
    return TableBenchmark(open_table(path, description), dataset=dataset)


def open_table(path: str | Path, description: Mapping[str, Any] | None = None) -> Table:
    """Open the table of :func:`from_file`."""
    if description is None or Path(path).suffix == ".npz":
        return Table.open(path, description)
    layout(description)  # refuses what is no description before its columns are stacked
    # A deep copy of plain values, as names of stacked columns replace lists in it.
    columns, given = read_columns(path), json.loads(json.dumps(description))
    arrays = dict(columns)
    _stack(given, "archs", columns, arrays, path)
    for entry in given.get("datasets", {}).values():
        parts = [*entry.get("series", {}).values(), *entry.get("properties", {}).values()]
        for column in [*parts, *([entry["seconds"]] if "seconds" in entry else [])]:
            _stack(column, "array", columns, arrays, path)
    return Table(arrays, given, source=str(path))


def pack(path: str | Path, *, description: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Convert a table with a description; return description and arrays of the compact form.

    Args:
        path: table file, as the benchmark ``file`` opens it.
        description: JSON file with the description of the table.
    """
    try:
        content = json.loads(Path(description).read_text())
    except OSError as error:
        raise InputError(f"'{description}' cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"'{description}' is no JSON: {error}") from None
    table = open_table(path, content)
    return asdict(table.layout), {name: table[name] for name in table.used()}


def _stack(
    entry: dict[str, Any],
    key: str,
    columns: Mapping[str, NDArray[Any]],
    arrays: dict[str, NDArray[Any]],
    path: str | Path,
) -> None:
    """Replace a list of columns by the name of a new array that holds them side by side."""
    names = entry.get(key)
    if not isinstance(names, list):
        return
    if missing := [name for name in names if name not in columns]:
        raise InputError(f"'{path}' has no column '{missing[0]}'; it has {', '.join(columns)}")
    entry[key] = "+".join(names)
    arrays[entry[key]] = np.stack([columns[name] for name in names], axis=1)


def is_compact(path: str | Path) -> bool:
    """Tell whether a file is an ``.npz`` that describes itself; also True for an unreadable ``.npz``."""
    if form_of(path) != ".npz" or str(path).endswith(".gz"):
        return False
    if not zipfile.is_zipfile(path):
        return True
    try:
        with np.load(path, allow_pickle=False) as file:
            return "meta" in file
    except (OSError, ValueError, EOFError, AttributeError):
        return True  # the reader of that form says what is wrong with it
