"""Columns of a table file: delimited text, JSON, parquet or a NumPy archive, also gzipped."""

import csv
import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError, one_line, shown

Columns = dict[str, NDArray[Any]]

TEXT = (".csv", ".tsv", ".txt")
FORMS = (*TEXT, ".json", ".jsonl", ".parquet", ".npz")
GAPS = ("", "nan", "na", "n/a", "null", "none")
KEY = "arch"
"""The column of keys that say nothing about parameters."""


def form_of(path: str | Path) -> str:
    """Return which of ``FORMS`` a file has by its name; ``.gz`` behind it does not count.

    >>> form_of("runs.CSV.gz")
    '.csv'
    """
    name = Path(path).name.lower().removesuffix(".gz")
    for form in FORMS:
        if name.endswith(form):
            return form
    raise InputError(f"'{path}': expected a name ending in {', '.join(FORMS)}, each also with .gz behind it")


def read_columns(path: str | Path) -> Columns:
    """Read columns (n,): whole numbers, else numbers (empty cells are NaN), else text; lists become axes.

    Text is UTF-8, with or without a byte-order mark, or UTF-16 with one; cells are divided by tabs,
    semicolons or commas, whichever the header has, and with semicolons a comma may be the decimal point.
    """
    form, path = form_of(path), Path(path)
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.name.lower().endswith(".gz") else content
    except FileNotFoundError:
        raise InputError(f"table file '{path}' does not exist") from None
    except (OSError, EOFError) as error:
        raise InputError(f"'{path}' cannot be read: {one_line(error)}") from None
    readers: dict[str, Callable[[Path, bytes], Columns]] = dict.fromkeys(TEXT, _delimited) | {
        ".json": _json, ".jsonl": _lines, ".parquet": _parquet, ".npz": _arrays,
    }  # fmt: skip
    columns = readers[form](path, content)
    lengths = {name: len(column) for name, column in columns.items()}
    if not lengths or not min(lengths.values()):
        raise InputError(f"'{path}' has no rows")
    if len(set(lengths.values())) > 1:
        raise InputError(f"'{path}': columns differ in length: {shown(lengths, 200)}")
    return columns


def _decoded(path: Path, content: bytes) -> str:
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"'{path}' is neither UTF-8 nor UTF-16 with a byte-order mark; convert it") from None


def _delimited(path: Path, content: bytes) -> Columns:
    text = _decoded(path, content)
    first = text.partition("\n")[0]
    delimiter = next((mark for mark in "\t;" if mark in first), ",")
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    if len(rows) < 2:
        raise InputError(f"'{path}' has no rows below its header")
    header = [name.strip() for name in rows[0]]
    if twice := [name for name in header if header.count(name) > 1]:
        raise InputError(f"'{path}' has two columns '{twice[0]}'; rename one")
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise InputError(f"'{path}', row {number}: {len(row)} cells, the header has {len(header)}")
    cells = dict(zip(header, zip(*rows[1:], strict=True), strict=True))
    return {name: typed(column, decimal_comma=delimiter == ";") for name, column in cells.items()}


def typed(cells: Sequence[str], *, decimal_comma: bool = False) -> NDArray[Any]:
    """Return cells as whole numbers, else as numbers with NaN in gaps, else as text.

    >>> typed(["1", ""]).tolist(), typed(["0,5", "2"], decimal_comma=True).tolist()
    ([1.0, nan], [0.5, 2.0])
    """
    plain = [cell.strip() for cell in cells]
    if decimal_comma:
        swapped = [re.sub(r"^([-+]?\d*),(\d+([eE][-+]?\d+)?)$", r"\1.\2", cell) for cell in plain]
    for given in [swapped, plain] if decimal_comma else [plain]:
        # numpy reads "nan" as a float only, so a column of integers with a gap becomes one of floats.
        known = ["nan" if cell.lower() in GAPS else cell for cell in given]
        for kind in (np.int64, np.float64):
            try:
                return np.array(known, dtype="U").astype(kind)
            except ValueError:
                continue
    return np.array(plain)


def _json(path: Path, content: bytes) -> Columns:
    try:
        given = json.loads(_decoded(path, content))
    except ValueError as error:
        raise InputError(f"'{path}' is no JSON: {one_line(error)}") from None
    if isinstance(given, list):
        return _records(path, given)
    if isinstance(given, dict) and given and all(isinstance(entry, dict) for entry in given.values()):
        return _records(path, [{**_parameters(key), **entry} for key, entry in given.items()])
    if isinstance(given, dict) and given and all(isinstance(entry, list) for entry in given.values()):
        return {str(name): _column(path, str(name), entry) for name, entry in given.items()}
    raise InputError(
        f"'{path}': expected a list of records, columns by name, or metrics by architecture, got "
        f"{shown(given)}"
    )


def _parameters(key: str) -> dict[str, Any]:
    """Return the parameters that the key of an architecture holds: JSON, ``lr=0.1,opt=sgd``, or text."""
    try:
        given = json.loads(key)
    except ValueError:
        given = None
    if isinstance(given, dict):
        return given
    pairs = [part.partition("=") for part in key.split(",")]
    if all(name.strip() and mark for name, mark, _ in pairs):
        return {name.strip(): typed([value])[0].item() for name, _, value in pairs}
    return {KEY: key}


def _lines(path: Path, content: bytes) -> Columns:
    records = []
    for number, line in enumerate(_decoded(path, content).splitlines(), 1):
        if line.strip():
            try:
                records.append(json.loads(line))
            except ValueError:
                raise InputError(f"'{path}', line {number} is no JSON: {shown(line)}") from None
    return _records(path, records)


def _records(path: Path, records: Sequence[Any]) -> Columns:
    for number, record in enumerate(records, 1):
        if not isinstance(record, Mapping):
            raise InputError(f"'{path}', record {number}: expected a mapping, got {shown(record)}")
    names = dict.fromkeys(str(name) for record in records for name in record)
    return {name: _column(path, name, [record.get(name) for record in records]) for name in names}


def _column(path: Path, name: str, values: Sequence[Any]) -> NDArray[Any]:
    """Return the values of a column; lists of equal lengths become further axes, null is NaN."""
    if any(isinstance(value, str) for value in values):
        return typed(["" if value is None else str(value) for value in values])
    if all(isinstance(value, bool) for value in values):
        return np.array([str(value).lower() for value in values])
    try:
        whole = all(isinstance(value, int) and not isinstance(value, bool) for value in values)
        return np.array(values, np.int64 if whole else np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"'{path}', column '{name}': expected numbers, text, or lists of one length, got "
            f"{shown(list(values[:3]))}"
        ) from None


def _parquet(path: Path, content: bytes) -> Columns:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(f"'{path}': parquet needs pyarrow: pip install pyarrow") from error
    try:
        table = parquet.read_table(io.BytesIO(content))
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' is no readable parquet file: {one_line(error)}") from None
    return {str(name): _column(path, str(name), table[name].to_pylist()) for name in table.column_names}


def _arrays(path: Path, content: bytes) -> Columns:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"'{path}' is no readable .npz without objects: {one_line(error)}") from None
    if scalars := [name for name, array in arrays.items() if not array.ndim]:
        raise InputError(f"'{path}', array '{scalars[0]}': a single value is no column; remove it")
    return arrays
