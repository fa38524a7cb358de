"""What turns the columns of a file into the inputs of a network, as at the fit: part of a saved network."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.fairness.data.csv_file import CsvFile, Row, texts_of
from sevenfold.fairness.levels import Interval, Levels, column

if TYPE_CHECKING:
    from sevenfold.fairness.data.table import Split

Texts = Mapping[str, NDArray[np.str_]]
Unseen = Literal["refuse", "zero"]


@dataclass(frozen=True)
class TextColumns:
    """The columns of a file of text, in the order of a table's features, and what they mean.

    Attributes:
        label, favorable: the column of the outcome and its favorable value.
        rules: the groups of protected columns.
        two: those of two groups, which are the first features.
        numeric: columns of numbers, the next ones.
        levels: by column, the levels that are one-hot features.
        how: how the file is written (:meth:`~sevenfold.fairness.data.csv_file.CsvFile.how`).
    """

    label: str
    favorable: str
    rules: Mapping[str, Levels]
    two: tuple[str, ...]
    numeric: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    how: Mapping[str, Any]

    def features(self) -> list[tuple[str, list[str] | None]]:
        """Return the column of each feature, and the level that it is 1 for; None: the column's number."""
        plain: list[tuple[str, list[str] | None]] = [(name, None) for name in (*self.two, *self.numeric)]
        return plain + [(name, [level]) for name, levels in self.levels.items() for level in levels]


def levels_of(rule: Mapping[str, Any]) -> Levels:
    """Return the groups of an attribute from plain values.

    >>> from sevenfold.fairness.levels import levels
    >>> rule = levels("age", [19, 30], {"bins": [25]})
    >>> levels_of(asdict(rule)) == rule
    True
    """
    ranges = tuple((Interval(**interval), group) for interval, group in rule["ranges"])
    return Levels(rule["name"], tuple(rule["groups"]), rule["values"], ranges, rule["rest"])


@dataclass(frozen=True)
class Encoder:
    """Columns of text to standardized features, of plain values alone, so that it can be stored.

    Attributes:
        columns: of each feature: its ``column``, the ``levels`` that it is 1 for (None: a number), whether
            it is the number of a protected group (``group``), and ``mean`` and ``deviation`` of training.
        rules: the groups of protected columns.
        known: by column, the levels of the fit.
        label: the column of the outcome, and its ``favorable`` value.
        how: how the file was written.
    """

    columns: list[dict[str, Any]]
    rules: dict[str, dict[str, Any]]
    known: dict[str, list[str]]
    label: dict[str, str]
    how: dict[str, Any]

    @classmethod
    def of(cls, text: TextColumns, split: "Split") -> "Encoder":
        """Return the encoder of a split: without dropped columns, with rare levels merged."""
        features, columns, first = text.features(), [], len(text.two)
        for members, mean, deviation in zip(split.members, split.mean, split.deviation, strict=True):
            name, levels = features[members[0]]
            merged = None if levels is None else [level for i in members for level in features[i][1] or []]
            scale = {"mean": float(mean), "deviation": float(deviation)}
            columns.append({"column": name, "levels": merged, "group": members[0] < first, **scale})
        rules = {name: asdict(rule) for name, rule in text.rules.items()}
        known = {name: list(levels) for name, levels in text.levels.items()}
        return cls(columns, rules, known, {"column": text.label, "favorable": text.favorable}, dict(text.how))

    @property
    def needed(self) -> list[str]:
        """Return the columns that a file must have to be decided about."""
        return list(dict.fromkeys(feature["column"] for feature in self.columns))

    def _numeric(self) -> list[str]:
        plain = [f for f in self.columns if f["levels"] is None and not f["group"]]
        return [feature["column"] for feature in plain]

    def read(self, file: CsvFile, more: Sequence[str] = (), unseen: Unseen = "refuse") -> "Encoded":
        """Return the rows of a file, with further columns as text; what does not fit is refused by name."""
        rows = file.rows()
        file.check_columns(rows, [*self.needed, *more])
        for number, row in rows:
            for name in self.needed:
                if file.is_missing(row, name):
                    raise InputError(
                        f"'{file.path}' line {number}: column '{name}' is missing; fill it, or leave it out"
                    )
        file.refuse_infinite(rows, self._numeric())
        texts = {name: texts_of(rows, name) for name in dict.fromkeys([*self.needed, *more])}
        unknown = self._unseen(file, rows, texts) if unseen == "zero" else self._refuse(file, rows, texts)
        return Encoded(self.encode(file, texts), texts, unknown)

    def encode(self, file: CsvFile, texts: Texts) -> Tensor:
        """Return features (n, d) in float32, to the last bit those of the fit."""
        numbers: dict[tuple[str, bool], NDArray[np.float64]] = {}
        features = []
        for feature in self.columns:
            name, group = feature["column"], feature["group"]
            if feature["levels"] is not None:
                features.append(np.isin(texts[name], feature["levels"]).astype(float))
                continue
            if (name, group) not in numbers:
                values = texts[name]
                numbers[name, group] = (
                    self.groups(name, file, values) if group else number(file, values, name)
                )
            features.append(numbers[name, group])
        mean = np.array([feature["mean"] for feature in self.columns])
        deviation = np.array([feature["deviation"] for feature in self.columns])
        # the same operations in the same order as in the split of the fit
        scaled = (np.stack(features, axis=1) - mean) / np.where(deviation > 0, deviation, 1)
        return torch.as_tensor(scaled, dtype=torch.float32)

    def groups(self, name: str, file: CsvFile, values: NDArray[np.str_]) -> NDArray[np.float64]:
        """Return the positions of the groups of a protected column; unknown ones are refused."""
        codes = levels_of(self.rules[name]).codes(column(self.text(file, name, values), name))
        if (codes < 0).any():
            raise InputError(
                f"'{file.path}': '{name}' is unknown in row {int((codes < 0).argmax())}; fill it"
            )
        return codes.astype(float)

    def text(self, file: CsvFile, name: str, values: NDArray[np.str_]) -> NDArray[np.str_]:
        """Return the values of a protected column with decimal points, where they are numbers."""
        ranges = self.rules[name]["ranges"]
        return file.points(values, name) if file.decimal == "," and ranges else values

    def _refuse(self, file: CsvFile, rows: Sequence[Row], texts: Texts) -> dict[str, int]:
        for name in self.known:
            if name not in self.needed:
                continue
            strange = ~np.isin(texts[name], self.known[name])
            if strange.any():
                i = int(strange.argmax())
                raise InputError(
                    f"'{file.path}' line {rows[i][0]}: column '{name}' has '{texts[name][i]}', which the fit "
                    "did not see; correct it, or set unseen: zero, under which it is none of the levels"
                )
        return {}

    def _unseen(self, file: CsvFile, rows: Sequence[Row], texts: Texts) -> dict[str, int]:
        """Return the number of rows with an unseen level, by column."""
        sizes = {
            name: int((~np.isin(texts[name], known)).sum())
            for name, known in self.known.items()
            if name in self.needed
        }
        return {name: n for name, n in sizes.items() if n}


@dataclass(frozen=True)
class Encoded:
    """The rows of a file: features x (n, d), columns as text, and how many rows have an unseen level."""

    x: Tensor
    texts: Texts
    unseen: dict[str, int]


def number(file: CsvFile, values: NDArray[np.str_], name: str) -> NDArray[np.float64]:
    """Return a column of text as numbers.

    >>> number(CsvFile("t.csv", ";", ","), np.array(["2,5"]), "a").tolist()
    [2.5]
    """
    try:
        return np.asarray(file.points(values, name), dtype=float)
    except ValueError as error:
        raise InputError(f"'{file.path}': column '{name}' is not numeric ({error}), as at the fit") from None
