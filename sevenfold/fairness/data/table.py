"""A table of people with labels and protected attributes: reading, encoding and splitting."""

import csv
import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.fairness.data.encoder import TextColumns
from sevenfold.seeding import numpy_generator

Floats = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]
SMALL_CELL = 30


@dataclass(frozen=True)
class Table:
    """A table of people, one a row, with its labels and protected attributes.

    Attributes:
        features, names: (n, d) and the d names; a one-hot column is called ``variable=level``.
        y: (n,), 1 is the favorable outcome.
        attributes: 0/1 by name, 1 is the privileged group; those in ``names`` are features too.
        coding: what 1 means in ``y`` and in each attribute, in words.
        truth: labels as they were before any bias, where a generator knows them.
        people: attributes as they are, for groups of any number; those without are known by ``attributes``.
        text: the columns of the file that the features come from, where it is the user's.
    """

    name: str
    features: Floats
    names: list[str]
    y: NDArray[np.int64]
    attributes: dict[str, NDArray[np.int64]]
    coding: dict[str, str] = field(default_factory=dict)
    truth: NDArray[np.int64] | None = None
    people: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    text: TextColumns | None = None

    def __post_init__(self) -> None:
        check_labels(self.y, "the label")
        bad = [
            name for name, column in zip(self.names, self.features.T, strict=True) if np.isnan(column).any()
        ]
        if bad:
            raise InputError(
                f"{self.name}: features with missing values: {', '.join(bad[:5])}; drop or fill them"
            )
        for name, values in self.attributes.items():
            check_groups(values, name)


def check_labels(y: NDArray[Any] | Tensor, what: str) -> None:
    """Raise ``InputError`` unless labels are 0 and 1 with both present; the message lists the values."""
    values = sorted({float(v) for v in np.unique(np.asarray(y))})
    if values != [0.0, 1.0]:
        raise InputError(
            f"{what} must be 0 and 1, both present, 1 being the favorable outcome; found {values[:6]}. "
            "Map other codings first (csv: favorable='good', or favorable='1' where 1 = good and 2 = bad)"
        )


def check_groups(a: NDArray[Any] | Tensor, what: str) -> None:
    """Raise ``InputError`` unless a protected attribute is 0/1 with both groups present."""
    values = sorted({float(v) for v in np.unique(np.asarray(a))})
    if not set(values) <= {0.0, 1.0}:
        raise InputError(f"protected attribute '{what}' must be 0 or 1 (1 = privileged), found {values[:6]}")
    if len(values) < 2:
        raise InputError(
            f"protected attribute '{what}' has one group only ({values}); nothing can be compared. "
            "Choose another attribute or another definition of the privileged group"
        )


def small_cells(y: Tensor, a: Tensor, least: int = SMALL_CELL) -> list[str]:
    """Return the names of cells (group, label) with fewer than ``least`` rows, too few for reliable rates."""
    sizes = {(g, v): int(((a == g) & (y == v)).sum()) for g in (0, 1) for v in (0, 1)}
    return [f"a={g}, y={v}: {n} rows" for (g, v), n in sizes.items() if n < least]


def read_lines(root: str | Path, name: str, sha256: str) -> list[str]:
    """Return the lines of ``root/name`` or ``root/name.gz`` after a check of its checksum."""
    path = next((p for p in (Path(root) / f"{name}.gz", Path(root) / name) if p.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"'{Path(root) / name}' (or .gz) does not exist; set the option 'root' to its folder"
        )
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(f"'{path}' is not the file that was published (its sha256 differs); get it again")
    return content.decode("utf-8").splitlines()


def read_columns(root: str | Path, name: str, sha256: str) -> dict[str, NDArray[np.str_]]:
    """Return the columns of ``root/name``, a CSV file with a header, as text."""
    rows = list(csv.DictReader(read_lines(root, name, sha256)))
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def one_hot(columns: Columns, variables: Sequence[str]) -> tuple[list[Floats], list[str]]:
    """Return all levels of categorical variables as columns and their names; no reference level."""
    arrays, names = [], []
    for variable in variables:
        # All levels are columns, without a reference level, as in the data of Savani et al. 2020.
        for level in np.unique(columns[variable]):
            arrays.append((columns[variable] == level).astype(float))
            names.append(f"{variable}={level}")
    return arrays, names


def assemble(
    name: str,
    columns: Columns,
    *,
    numeric: Sequence[str],
    categorical: Sequence[str],
    attributes: dict[str, NDArray[np.int64]],
    y: NDArray[np.int64],
    coding: dict[str, str],
    people: Mapping[str, NDArray[Any]] | None = None,
) -> Table:
    """Return columns of text as a table: protected attributes first, then numbers, then one-hot columns."""
    encoded, levels = one_hot(columns, categorical)
    numbers = [number(columns[key], key) for key in numeric]
    features = np.stack([*(v.astype(float) for v in attributes.values()), *numbers, *encoded], axis=1)
    names = [*attributes, *numeric, *levels]
    return Table(name, features, names, y, attributes, coding, people=people or {})


def number(values: NDArray[Any], name: str) -> Floats:
    """Return a column of text as numbers; raises ``InputError`` where a value is not numeric."""
    try:
        return np.asarray(values, dtype=float)
    except ValueError as error:
        raise InputError(f"column '{name}' is not numeric ({error}); list it as categorical") from None


@dataclass(frozen=True)
class Part:
    """Rows of one part of a split: x (n, d) standardized, y, a (n,), and the fair labels if known."""

    x: Tensor
    y: Tensor
    a: Tensor
    truth: Tensor | None = None


@dataclass(frozen=True)
class Split:
    """Train, validation and test rows of one table, one protected attribute.

    Feature i is the sum of the columns ``members[i]`` of the table, less ``mean[i]``, over ``deviation[i]``.
    """

    train: Part
    val: Part
    test: Part
    names: list[str]
    sees_attribute: bool
    members: list[list[int]]
    mean: Floats
    deviation: Floats


def split_rows(
    n: int, seed: int, shares: tuple[float, float, float] = (0.6, 0.2, 0.2)
) -> list[NDArray[np.int64]]:
    """Return the rows of train, validation and test; train is the first share of a random permutation."""
    # 60 % of a permutation for training, the rest divided equally   (Savani et al. 2020)
    stream = numpy_generator(seed, "fairness split")
    order = stream.permutation(n)
    cut = int(shares[0] * n)
    rest = stream.permutation(order[cut:])
    half = int(len(rest) * shares[1] / (shares[1] + shares[2]))
    return [order[:cut], rest[:half], rest[half:]]


def split_table(
    table: Table,
    protected: str,
    seed: int,
    *,
    shares: tuple[float, float, float] = (0.6, 0.2, 0.2),
    drop_protected: bool = False,
    min_count: int = 0,
    cells: NDArray[np.int64] | None = None,
) -> Split:
    """Return the standardized parts of a table.

    Groups are those of ``protected``, or ``cells`` (n,) of groups of any number by the attributes it names.
    The protected column is dropped if ``drop_protected`` is true; levels that occur fewer than ``min_count``
    times in train are merged. Mean and standard deviation are those of the training rows.
    """
    a = attribute(table, protected) if cells is None else cells
    rows = split_rows(len(table.y), seed, shares)
    features, names = table.features, table.names
    members = [[i] for i in range(len(names))]
    if drop_protected:
        dropped = set(re.split(" or | and ", protected))
        # one-hot columns of an attribute tell it, too
        keep = [i for i, name in enumerate(names) if name.partition("=")[0] not in dropped]
        features, names, members = features[:, keep], [names[i] for i in keep], [[i] for i in keep]
    if min_count:
        features, names, grouped = group_rare(features, names, rows[0], min_count)
        members = [[i for place in places for i in members[place]] for places in grouped]
    mean, deviation = features[rows[0]].mean(0), features[rows[0]].std(0)
    # Statistics of the training rows alone: others would leak validation and test data into training.
    scaled = (features - mean) / np.where(deviation > 0, deviation, 1)
    parts = []
    for part in rows:
        truth = None if table.truth is None else torch.as_tensor(table.truth[part])
        x = torch.as_tensor(scaled[part], dtype=torch.float32)
        parts.append(Part(x, torch.as_tensor(table.y[part]), torch.as_tensor(a[part]), truth))
    train, val, test = parts
    return Split(train, val, test, names, not drop_protected, members, mean, deviation)


def attribute(table: Table, protected: str) -> NDArray[np.int64]:
    """Return an attribute by name; ``x or y`` and ``x and y`` combine two (privileged in either, in both)."""
    words = re.split(" (or|and) ", protected)
    missing = [word for word in words[::2] if word not in table.attributes]
    if missing or len(words) > 3:
        names = ", ".join(table.attributes)
        raise InputError(f"{table.name} has no protected attribute '{protected}'. Known: {names}")
    first, *rest = (table.attributes[word] for word in words[::2])
    if not rest:
        return first
    return first | rest[0] if words[1] == "or" else first & rest[0]


def group_rare(
    features: Floats, names: list[str], rows: NDArray[np.int64], least: int
) -> tuple[Floats, list[str], list[list[int]]]:
    """Return features with a variable's one-hot columns merged where rarer than ``least`` in ``rows``.

    Returns names and, for each new column, the places of the old ones that it is the sum of, too.
    """
    frequent: list[int] = []
    rare: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        if "=" in name and features[rows, i].sum() < least:
            rare.setdefault(name.partition("=")[0], []).append(i)
        else:
            frequent.append(i)
    # one-hot columns of one variable exclude each other, so that their sum is one-hot again
    grouped = [features[:, columns].sum(1) for columns in rare.values()]
    new_names = [names[i] for i in frequent] + [f"{variable}=(rare)" for variable in rare]
    merged = np.stack([*features[:, frequent].T, *grouped], axis=1)
    return merged, new_names, [*([i] for i in frequent), *rare.values()]
