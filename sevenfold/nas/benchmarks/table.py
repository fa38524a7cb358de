"""The compact form of a benchmark table: one ``.npz`` of plain arrays that describes itself.

A file holds any number of named arrays (no object arrays) and ``meta``, a 0-d string array with JSON::

    {"format": "sevenfold nas table 1",
     "space": {"name": "nb201"},                  a component of SPACES, or {"name": "listed", ...}
     "archs": "ops",                              array (n, width): the architectures as rows of the space
     "notation": "",                              or strings (n,): a notation of the space, or "digits"
     "rows": "class_of_string",                   optional array (n,): its row of the results arrays
     "keys": "keys",                              optional array (n,): space.keys(archs), where slow
     "minimize": ["loss"],                        metrics of which less is better
     "datasets": {
       "digits": {
         "seeds": [0, 1, 2],                      numbers, or ["mean"] if only an average is known
         "epochs": [1, 2, ..., 20],               what stands along the epoch axis, ascending
         "series": {                              "split/metric": where it is
           "val/acc": {"array": "acc", "axes": "nrek", "k": 1, "scale": 0.16722408},
           "val/loss": {"array": "loss", "axes": "nrek", "k": 1}},
         "seconds": {"array": "train_seconds_per_epoch", "axes": "n", "per": "epoch"},
         "properties": {"params": {"array": "params", "axes": "n"}}}},
     "provenance": {...},                         anything: sources, versions, hyperparameters
     "sha256": {"ops": "...", ...}}               of every other array, see ``digest``

A *column* (an entry of ``series``, ``seconds``, ``properties``) reads value = stored * ``scale``. ``axes``
names the dimensions of the array: n results row, r seed, e epoch, k one of several quantities in the same
array, of which the column takes number ``k``; without r or e all seeds or epochs share the value. Integer
arrays may name a ``missing`` value; floating ones use NaN. A column whose values exist at some epochs only
brings its own ``epochs``; one that is known at the end of each run's schedule, whenever that is, says
``at_end``. The notation "digits" has one digit for each coordinate (leading zeros may be absent).

``seconds`` is simulated training time ``per`` "epoch" (one epoch), "run" (the whole run, linear in between)
or "until" (already summed up to that epoch). A data set with ``separate_runs`` trained anew for every entry
of ``epochs`` (else they are one curve); ``lengths`` names an array (rows,) or (rows, seeds) with the number
of epochs of each run's schedule where these differ.

By convention accuracies are percent, ``acc``; losses are ``loss``; splits are ``train``, ``val``, ``test``.
Runs of the same data with another schedule are another data set: ``cifar10-valid/200``, ``cifar10-valid/12``.

:func:`write_table` adds format and checksums and writes the file; :class:`Table` reads it, each array when it
is first needed, and refuses one whose checksum is wrong.
"""

import hashlib
import inspect
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from sevenfold.config import suggest
from sevenfold.errors import InputError, shown

FORMAT = "sevenfold nas table 1"


@dataclass(frozen=True)
class Column:
    """Where the values of one quantity are; see the module's description."""

    array: str
    axes: str = "nre"
    k: int | None = None
    scale: float = 1.0
    missing: int | None = None
    epochs: tuple[int, ...] = ()
    at_end: bool = False
    per: Literal["epoch", "run", "until"] = "epoch"


@dataclass(frozen=True)
class Dataset:
    """What was measured by training on one data set with one schedule; see the module's description."""

    seeds: tuple[int | str, ...]
    epochs: tuple[int, ...]
    series: Mapping[str, Column] = field(default_factory=dict)
    seconds: Column | None = None
    properties: Mapping[str, Column] = field(default_factory=dict)
    lengths: str = ""
    separate_runs: bool = False


@dataclass(frozen=True)
class Layout:
    """The description of a whole table; see the module's description."""

    space: Mapping[str, Any]
    archs: str
    datasets: Mapping[str, Dataset]
    rows: str = ""
    keys: str = ""
    notation: str = ""
    minimize: tuple[str, ...] = ("loss",)
    provenance: Mapping[str, Any] = field(default_factory=dict)


Record = TypeVar("Record", Column, Dataset, Layout)


def layout(description: Mapping[str, Any]) -> Layout:
    """Read a description as it stands in ``meta``; ``InputError`` names a wrong entry."""
    table = _mapping(description, "table")
    # These two belong to the file and not to what it describes.
    content = {key: value for key, value in table.items() if key not in ("format", "sha256")}
    _mapping(content.get("space", {}), "table.space")
    datasets = {}
    for name, entry in _mapping(content.get("datasets", {}), "table.datasets").items():
        entry = dict(_mapping(entry, name))
        for part in ("series", "properties"):
            columns = _mapping(entry.get(part, {}), f"{name}.{part}").items()
            entry[part] = {key: _record(Column, c, f"{name}.{part}.{key}") for key, c in columns}
        if entry.get("seconds") is not None:
            entry["seconds"] = _record(Column, entry["seconds"], f"{name}.seconds")
        datasets[name] = _record(Dataset, entry, name)
    return _record(Layout, {**content, "datasets": datasets}, "table")


def _mapping(entry: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping):
        raise InputError(f"description of '{where}': expected a mapping, got {shown(entry)}")
    return entry


def _record(kind: Callable[..., Record], entry: Mapping[str, Any], where: str) -> Record:
    """Make the record, its lists tuples; wrong and missing keys are bad input."""
    known = list(inspect.signature(kind).parameters)
    for key in _mapping(entry, where):
        if key not in known:
            raise InputError(f"description of '{where}': unknown key '{key}'. {suggest(key, known)}")
    try:
        # JSON knows no tuples, and frozen records must not hold lists that callers could change.
        return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()})
    except TypeError as error:
        raise InputError(f"description of '{where}': {error}") from None


def digest(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's type, shape and little-endian C-ordered bytes, in hexadecimal."""
    # The same numbers must have the same sum on big-endian machines and in Fortran order.
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    checksum = hashlib.sha256(f"{plain.dtype.str}{plain.shape}".encode())
    checksum.update(plain.reshape(-1).view(np.uint8).data if plain.nbytes else b"")
    return checksum.hexdigest()


def write_table(
    path: str | Path,
    description: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    *,
    compressed: bool = True,
) -> None:
    """Write a compact file whole (or not at all); equal content gives equal bytes.

    ``description`` is the JSON of ``meta`` without ``format`` and ``sha256``. It is checked against the
    arrays first.
    """
    Table(arrays, description).check()
    sums = {name: digest(array) for name, array in arrays.items()}
    # Sorted keys: equal content gives equal bytes.
    meta = json.dumps({"format": FORMAT, **description, "sha256": sums}, sort_keys=True)
    path = Path(path)
    # Written beside its target, for a rename is atomic only within one file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    save = np.savez_compressed if compressed else np.savez
    try:
        with open(temporary, "wb") as file:
            save(file, allow_pickle=False, **{"meta": np.array(meta), **arrays})
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class _Members(Mapping[str, NDArray[Any]]):
    """The arrays of an ``.npz``; the file is open only while one is read."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        with self._opened() as file:
            self.names = tuple(file.files)

    def __getitem__(self, name: str) -> NDArray[Any]:
        with self._opened() as file:
            return np.asarray(file[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @contextmanager
    def _opened(self) -> Iterator[NpzFile]:
        try:
            with open(self.path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
                # A .npy opens without an error, and gives an array where members are expected.
                if not isinstance(file, NpzFile):
                    raise ValueError("it holds one bare array")
                yield file
        except FileNotFoundError:
            raise InputError(f"benchmark file '{self.path}' does not exist") from None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"'{self.path}' is no readable .npz without objects: {error}") from None


class Table:
    """Named arrays with their description; a file's arrays are read, and their sums compared, when used."""

    def __init__(
        self,
        arrays: Mapping[str, NDArray[Any]],
        description: Mapping[str, Any],
        *,
        source: str = "table",
    ) -> None:
        self.layout = layout(description)
        self.source = source
        self._arrays, self._read = arrays, dict[str, NDArray[Any]]()
        self._sums = description.get("sha256", {})

    @classmethod
    def open(cls, path: str | Path, description: Mapping[str, Any] | None = None) -> "Table":
        """Open an ``.npz``: a compact file, or any other whose ``description`` is given."""
        arrays = _Members(path)
        if description is not None:
            return cls(arrays, description, source=str(path))
        if "meta" not in arrays:
            raise InputError(f"'{path}' has no description; it is not a compact table")
        meta = json.loads(str(arrays["meta"]))
        if meta.get("format") != FORMAT:
            raise InputError(f"'{path}' has format {meta.get('format')!r}; expected {FORMAT!r}")
        return cls(arrays, meta, source=str(path))

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return an array by name."""
        if name not in self._read:
            if name not in self._arrays:
                raise InputError(f"'{self.source}' has no array '{name}'. {suggest(name, self._arrays)}")
            array = np.asarray(self._arrays[name])
            if name in self._sums and digest(array) != self._sums[name]:
                raise InputError(f"'{self.source}', array '{name}': wrong checksum; the file is damaged")
            self._read[name] = array
        return self._read[name]

    def columns(self) -> Iterator[tuple[str, Dataset, Column]]:
        """Yield (name, data set, column) of everything that is measured."""
        for name, dataset in self.layout.datasets.items():
            seconds = {"seconds": dataset.seconds} if dataset.seconds else {}
            for key, column in {**dataset.series, **dataset.properties, **seconds}.items():
                yield f"{name}.{key}", dataset, column

    def used(self) -> list[str]:
        """Return the names of the arrays that the description refers to."""
        given = self.layout
        names = [given.archs, given.rows, given.keys, *(d.lengths for d in given.datasets.values())]
        names += [column.array for _, _, column in self.columns()]
        return list(dict.fromkeys(name for name in names if name))

    def check(self) -> None:
        """Read every array that the description names and compare their dimensions with it."""
        given, arrays = self.layout, {name: self[name] for name in self.used()}
        for name in (given.rows, given.keys):
            if name and len(arrays[name]) != len(arrays[given.archs]):
                raise InputError(
                    f"'{self.source}': array '{name}' has {len(arrays[name])} entries for "
                    f"{len(arrays[given.archs])} architectures"
                )
        for name, dataset, column in self.columns():
            self._check_column(name, dataset, column)

    def _check_column(self, where: str, dataset: Dataset, column: Column) -> None:
        array, sizes = self[column.array], {"r": len(dataset.seeds)}
        sizes["e"] = 1 if column.at_end else len(column.epochs or dataset.epochs)
        wrong = array.ndim != len(column.axes) or any(
            axis in sizes and size != sizes[axis] for axis, size in zip(column.axes, array.shape, strict=True)
        )
        if wrong:
            raise InputError(
                f"'{self.source}', {where}: array '{column.array}' has shape {array.shape}, described as "
                f"axes '{column.axes}' with {sizes['r']} seeds and {sizes['e']} epochs"
            )

    def values(
        self, column: Column, rows: NDArray[np.integer], seeds: slice, epochs: slice
    ) -> NDArray[np.float64]:
        """Return a column at results ``rows``, (n, R, E) in float64 with NaN where missing.

        ``seeds`` and ``epochs`` cut those axes of the array; an axis the column lacks has length 1.
        """
        # Slices come before the rows, which copy: of a large table only what was asked for is copied.
        whole: dict[str, Any] = {"n": slice(None), "r": seeds, "e": epochs, "k": column.k or 0}
        taken = self[column.array][tuple(whole[axis] for axis in column.axes)][rows]
        axes = column.axes.replace("k", "")
        absent = tuple(place for place, axis in ((1, "r"), (2, "e")) if axis not in axes)
        values = np.expand_dims(taken, absent).astype(np.float64)
        if column.missing is not None:
            # Before the scale, as the missing number is one of the stored integers.
            values[values == column.missing] = np.nan
        return values * column.scale
