"""A table of people from a CSV file of the user."""

import csv
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sevenfold.config import ConfigError, suggest
from sevenfold.errors import InputError, one_line
from sevenfold.fairness.data.table import Table, assemble
from sevenfold.fairness.levels import MISSING as UNKNOWN
from sevenfold.fairness.levels import column, levels

MISSING = ("", "?", "NA", "nan", "NaN")


class CsvTable:
    """A table read from a CSV file with a header; no column's role or coding is guessed.

    Args:
        path: the file.
        label: the column of the outcome.
        favorable: its value that is good for the person (``"1"`` where 1 = good and 2 = bad).
        protected: by column, the privileged value, a range such as ``">= 25"`` or ``"25..59"``, or
            ``{privileged: .., unprivileged: [..]}``; of more than two values all must be named.
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
        if delimiter == decimal:
            raise ConfigError("decimal", f"'{decimal}' is the delimiter, too; set delimiter: ';' or another")
        self.path, self.label, self.favorable = path, label, str(favorable)
        self.protected, self.numeric, self.categorical = protected, numeric, categorical
        self.missing, self.missing_codes, self.delimiter = missing, missing_codes, delimiter
        self.decimal, self.encoding = decimal, encoding

    def load(self) -> Table:
        """Read the file."""
        rows = self._rows()
        names = [self.label, *self.protected, *self.numeric, *self.categorical]
        for name in names:
            if not rows or name not in rows[0][1]:
                raise InputError(
                    f"'{self.path}' has no column '{name}'. {suggest(name, rows[0][1] if rows else [])}"
                )
        complete = [row for row in rows if not any(self._is_missing(row[1], name) for name in names)]
        if len(complete) < len(rows) and self.missing == "refuse":
            first = next(line for line, row in rows if any(self._is_missing(row, name) for name in names))
            raise InputError(
                f"'{self.path}': {len(rows) - len(complete)} of {len(rows)} rows have missing values, the "
                f"first in line {first}; fill them, or set missing: drop"
            )
        self._refuse_infinite(complete)
        # Values stay text until their role is known: "1" may be a label, a level or a number.
        columns = {name: np.array([row[name].strip() for _, row in complete]) for name in names}
        values, counts = np.unique(columns[self.label], return_counts=True)
        if len(values) != 2 or self.favorable not in values:
            listing = ", ".join(f"'{v}' ({n})" for v, n in zip(values[:6], counts[:6], strict=True))
            raise InputError(
                f"label '{self.label}' must have two values, one of them the favorable '{self.favorable}'; "
                f"found {listing}. Set favorable to one of them, or map the column first"
            )
        attributes = {name: self._privileged(name, columns[name]) for name in self.protected}
        numbers = {name: self._points(columns[name], name) for name in self.numeric}
        return assemble(
            Path(self.path).stem,
            {**columns, **numbers},
            numeric=self.numeric,
            categorical=self.categorical,
            attributes=attributes,
            y=(columns[self.label] == self.favorable).astype(np.int64),
            coding={"y": f"{self.label} = {self.favorable}", **self._meanings(columns)},
        )

    def _rows(self) -> list[tuple[int, dict[str, str]]]:
        """Return the rows with the numbers of their lines; one of another length is refused by its line."""
        if not Path(self.path).is_file():
            raise InputError(
                f"'{self.path}' does not exist; give a CSV file with a header as the source's 'path'"
            )
        try:
            with open(self.path, newline="", encoding=self.encoding) as file:
                reader = csv.reader(file, delimiter=self.delimiter)
                header = [name.strip() for name in next(reader, [])]
                lines = [(reader.line_num, row) for row in reader if row]
        except LookupError:
            raise ConfigError("encoding", f"'{self.encoding}' is none; try utf-8 or latin-1") from None
        except UnicodeDecodeError as error:
            raise InputError(
                f"'{self.path}' is not {self.encoding} ({one_line(error.reason)}); set encoding: latin-1 or "
                "the file's"
            ) from None
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise InputError(f"'{self.path}' has the column '{twice[0]}' twice; rename one")
        for number, row in lines:
            if len(row) != len(header):
                raise InputError(
                    f"'{self.path}' line {number} has {len(row)} fields, the header {len(header)}; quote "
                    f"fields that contain '{self.delimiter}', or set delimiter"
                )
        return [(number, dict(zip(header, row, strict=True))) for number, row in lines]

    def _is_missing(self, row: dict[str, str], name: str) -> bool:
        value = row[name].strip()
        # "none" may be a level of a feature; of a protected attribute it never names a group
        unknown = name in self.protected and value.casefold() in {code.casefold() for code in UNKNOWN}
        return unknown or value in MISSING or value in self.missing_codes

    def _refuse_infinite(self, rows: list[tuple[int, dict[str, str]]]) -> None:
        """Raise for an infinite number, which would make its whole column undefined."""
        for number, row in rows:
            for name in self.numeric:
                try:
                    infinite = math.isinf(float(row[name].replace(self.decimal, ".")))
                except ValueError:
                    continue
                if infinite:
                    raise InputError(
                        f"'{self.path}' line {number}: column '{name}' is infinite; correct or blank it"
                    )

    def _points(self, values: NDArray[np.str_], name: str) -> NDArray[np.str_]:
        """Return numbers with decimal points."""
        if self.decimal == ",":
            return np.char.replace(values, ",", ".")
        if any("," in value for value in values.tolist()):
            raise InputError(f"column '{name}' has numbers with a comma; set decimal: ',' and a delimiter")
        return values

    def _privileged(self, name: str, values: NDArray[np.str_]) -> NDArray[np.int64]:
        """Return 1 for the privileged group and 0 for the other one; other values are refused by name."""
        values = self._points(values, name) if self.decimal == "," else values
        rule = self.protected[name]
        groups = levels(name, values, rule)
        codes = groups.codes(column(values, name))
        if len(groups.groups) != 2:
            raise InputError(f"protected attribute '{name}' needs two groups here, got {len(groups.groups)}")
        if (codes < 0).any():
            raise InputError(f"protected attribute '{name}': unknown groups; leave these rows out")
        return codes

    def _meanings(self, columns: dict[str, NDArray[np.str_]]) -> dict[str, str]:
        rules = {n: r if isinstance(r, dict) else {"privileged": r} for n, r in self.protected.items()}
        return {name: str(rule.get("privileged", rule)) for name, rule in rules.items()}
