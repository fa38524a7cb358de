"""A table of people from a CSV file of the user."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.fairness.data.csv_file import CsvFile, Row, texts_of
from sevenfold.fairness.data.encoder import TextColumns
from sevenfold.fairness.data.table import Table, assemble
from sevenfold.fairness.levels import MISSING, Levels, column, levels

UNKNOWN = {code.casefold() for code in MISSING}


class CsvTable:
    """A table read from a CSV file with a header; no column's role or coding is guessed.

    Args:
        path: the file.
        label: the column of the outcome.
        favorable: its value that is good for the person (``"1"`` where 1 = good and 2 = bad).
        protected: by column, the privileged value, a range such as ``">= 25"`` or ``"25..59"``, or
            ``{privileged: .., unprivileged: [..]}``, of more than two values all named; or null, a group for
            each value, or another rule of groups, to be compared by a study's ``groups``.
        numeric, categorical: columns that are features beside the protected ones.
        missing: drop rows with a missing value among these columns, or refuse them.
        missing_codes: codes of missing values, beside the usual ones.
        delimiter: between fields.
        decimal: the decimal sign of numbers.
        encoding: of the file; a byte-order mark is skipped.
    """

    def __init__(
        self,
        *,
        path: str,
        label: str,
        favorable: str,
        protected: dict[str, Any],
        numeric: list[str] = [],  # noqa: B006 (never changed)
        categorical: list[str] = [],  # noqa: B006
        missing: str = "refuse",
        missing_codes: list[str] = [],  # noqa: B006
        delimiter: str = ",",
        decimal: Literal[".", ","] = ".",
        encoding: str = "utf-8-sig",
    ) -> None:
        if not protected or not (numeric or categorical):
            raise ConfigError("protected", "needs at least one protected column and one feature")
        if missing not in ("refuse", "drop"):
            raise ConfigError("missing", f"must be 'refuse' or 'drop', got '{missing}'")
        self.file = CsvFile(path, delimiter, decimal, encoding, tuple(missing_codes))
        self.label, self.favorable, self.missing = label, str(favorable), missing
        self.protected, self.numeric, self.categorical = protected, numeric, categorical

    def load(self) -> Table:
        """Read the file."""
        file, rows = self.file, self.file.rows()
        names = [self.label, *self.protected, *self.numeric, *self.categorical]
        file.check_columns(rows, names)
        complete = [row for row in rows if not self._lacks(row, names)]
        if len(complete) < len(rows) and self.missing == "refuse":
            first = next(row[0] for row in rows if self._lacks(row, names))
            raise InputError(
                f"'{file.path}': {len(rows) - len(complete)} of {len(rows)} rows have missing values, the "
                f"first in line {first}; fill them, or set missing: drop"
            )
        file.refuse_infinite(complete, self.numeric)
        columns = {name: texts_of(complete, name) for name in names}
        values, counts = np.unique(columns[self.label], return_counts=True)
        if len(values) != 2 or self.favorable not in values:
            listing = ", ".join(f"'{v}' ({n})" for v, n in zip(values[:6], counts[:6], strict=True))
            raise InputError(
                f"label '{self.label}' must have two values, one of them the favorable '{self.favorable}'; "
                f"found {listing}. Set favorable to one of them, or map the column first"
            )
        rules = {name: self._rule(name, columns[name]) for name in self.protected}
        people = {name: self._numbers(name, columns[name]) for name in self.protected}
        codes = {name: rules[name].codes(column(people[name], name)) for name in self.protected}
        # more than two groups, or unknown ones, have no 0/1 feature; they are compared by study.groups
        two = [name for name, c in codes.items() if len(rules[name].groups) == 2 and (c >= 0).all()]
        attributes = {name: codes[name] for name in two}
        numbers = {name: file.points(columns[name], name) for name in self.numeric}
        table = assemble(
            Path(file.path).stem,
            {**columns, **numbers},
            numeric=self.numeric,
            categorical=self.categorical,
            attributes=attributes,
            y=(columns[self.label] == self.favorable).astype(np.int64),
            coding={"y": f"{self.label} = {self.favorable}", **self._meanings(columns)},
            people=people,
        )
        levels_ = {name: tuple(np.unique(columns[name]).tolist()) for name in self.categorical}
        text = TextColumns(
            self.label, self.favorable, rules, tuple(two), tuple(self.numeric), levels_, file.how()
        )
        return replace(table, text=text)

    def _lacks(self, row: Row, names: list[str]) -> bool:
        """Tell whether a value is missing; of a protected attribute "none" never names a group."""
        return any(
            self.file.is_missing(row[1], name, UNKNOWN if name in self.protected else ()) for name in names
        )

    def _rule(self, name: str, values: NDArray[np.str_]) -> Levels:
        """Return the groups of a protected column."""
        return levels(name, self._numbers(name, values), self.protected[name])

    def _numbers(self, name: str, values: NDArray[np.str_]) -> NDArray[np.str_]:
        return self.file.points(values, name) if self.file.decimal == "," else values

    def _meanings(self, columns: dict[str, NDArray[np.str_]]) -> dict[str, str]:
        rules = {n: r if isinstance(r, dict) else {"privileged": r} for n, r in self.protected.items()}
        return {name: str(rule.get("privileged", rule) or "by value") for name, rule in rules.items()}
