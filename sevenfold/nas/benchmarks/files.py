"""Benchmarks from files: the compact form, or any table with a description."""

import csv
import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.table import Table, layout
from sevenfold.nas.benchmarks.table_benchmark import TableBenchmark


def from_file(
    *, path: str, description: Mapping[str, Any] | None = None, dataset: str | None = None
) -> TableBenchmark:
    """Table file in the compact form, or of another form with a description.

    The compact form is an ``.npz`` that describes itself. The others are ``.npz``, ``.csv``, ``.csv.gz`` and
    ``.parquet``. Columns of the latter are the arrays; wherever the description names an array it may list
    several columns, which become the second axis.

    Args:
        path: table file.
        description: what the arrays of the file are, as ``benchmarks.table`` says; null: the file is in the
            compact form, which describes itself.
        dataset: data set of the table; null: the only one.
    """
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


def read_columns(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read the columns of a csv or parquet file: integers, else numbers (empty cells are NaN), else text."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"table file '{path}' does not exist")
    if path.suffix == ".parquet":
        return _read_parquet(path)
    if path.name.endswith((".csv", ".csv.gz")):
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", newline="") as file:
            return _read_csv(path, [row for row in csv.reader(file) if row])
    raise InputError(f"'{path}': expected a name ending in .npz, .csv, .csv.gz or .parquet")


def _read_csv(path: Path, rows: list[list[str]]) -> dict[str, NDArray[Any]]:
    if len(rows) < 2:
        raise InputError(f"'{path}' has no rows below its header")
    header = rows[0]
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise InputError(f"'{path}', row {number}: {len(row)} cells, the header has {len(header)}")
    return {name: _typed(cells) for name, cells in zip(header, zip(*rows[1:], strict=True), strict=True)}


def _typed(cells: tuple[str, ...]) -> NDArray[Any]:
    for kind in (np.int64, np.float64):
        try:
            # numpy reads "nan" as a float only, so a column of integers with a gap becomes one of floats.
            return np.array([cell or "nan" for cell in cells], dtype="U").astype(kind)
        except ValueError:
            continue
    return np.array(cells)


def _read_parquet(path: Path) -> dict[str, NDArray[Any]]:
    try:
        import pyarrow  # noqa: F401, I001  (pandas reads parquet by it)
        import pandas
    except ImportError as error:
        raise InputError(f"'{path}': parquet needs pandas and pyarrow: pip install pandas pyarrow") from error
    frame = pandas.read_parquet(path)
    columns = {str(name): frame[name].to_numpy() for name in frame}
    return {name: a.astype(str) if a.dtype.kind == "O" else a for name, a in columns.items()}
