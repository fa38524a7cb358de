"""A table of people from a CSV file of the user."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sevenfold.config import ConfigError, suggest
from sevenfold.errors import InputError
from sevenfold.fairness.data.table import Table, assemble

MISSING = ("", "?", "NA", "nan", "NaN")


class CsvTable:
    """A table read from a CSV file with a header; no column's role or coding is guessed.

    Args:
        path: the file.
        label: the column of the outcome.
        favorable: its value that is good for the person (``"1"`` where 1 = good and 2 = bad).
        protected: by column, the privileged value, or ``">= 25"`` for numbers.
        numeric, categorical: columns that are features beside the protected ones.
        missing: drop rows with a missing value among these columns, or refuse them.
        delimiter: between fields.
    """

    def __init__(
        self,
        *,
        path: str,
        label: str,
        favorable: str,
        protected: dict[str, str],
        numeric: list[str] = [],  # noqa: B006 (never changed)
        categorical: list[str] = [],  # noqa: B006
        missing: str = "refuse",
        delimiter: str = ",",
    ) -> None:
        if not protected or not (numeric or categorical):
            raise ConfigError("protected", "needs at least one protected column and one feature")
        if missing not in ("refuse", "drop"):
            raise ConfigError("missing", f"must be 'refuse' or 'drop', got '{missing}'")
        self.path, self.label, self.favorable = path, label, str(favorable)
        self.protected, self.numeric, self.categorical = protected, numeric, categorical
        self.missing, self.delimiter = missing, delimiter

    def load(self) -> Table:
        """Read the file."""
        if not Path(self.path).is_file():
            raise InputError(
                f"'{self.path}' does not exist; give a CSV file with a header as the source's 'path'"
            )
        with open(self.path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter=self.delimiter))
        names = [self.label, *self.protected, *self.numeric, *self.categorical]
        for name in names:
            if not rows or name not in rows[0]:
                raise InputError(
                    f"'{self.path}' has no column '{name}'. {suggest(name, rows[0] if rows else [])}"
                )
        complete = [row for row in rows if not any(row[name].strip() in MISSING for name in names)]
        if len(complete) < len(rows) and self.missing == "refuse":
            raise InputError(
                f"'{self.path}': {len(rows) - len(complete)} of {len(rows)} rows have missing values; "
                "fill them, or set missing: drop"
            )
        # Values stay text until their role is known: "1" may be a label, a level or a number.
        columns = {name: np.array([row[name].strip() for row in complete]) for name in names}
        values, counts = np.unique(columns[self.label], return_counts=True)
        if len(values) != 2 or self.favorable not in values:
            listing = ", ".join(f"'{v}' ({n})" for v, n in zip(values[:6], counts[:6], strict=True))
            raise InputError(
                f"label '{self.label}' must have two values, one of them the favorable '{self.favorable}'; "
                f"found {listing}. Set favorable to one of them, or map the column first"
            )
        attributes = {name: self._privileged(columns[name], rule) for name, rule in self.protected.items()}
        coding = {"y": f"{self.label} = {self.favorable}", **self.protected}
        return assemble(
            Path(self.path).stem,
            columns,
            numeric=self.numeric,
            categorical=self.categorical,
            attributes=attributes,
            y=(columns[self.label] == self.favorable).astype(np.int64),
            coding=coding,
        )

    def _privileged(self, values: NDArray[np.str_], rule: str) -> NDArray[np.int64]:
        if rule.startswith(">="):
            return (values.astype(float) >= float(rule.removeprefix(">="))).astype(np.int64)
        return (values == str(rule)).astype(np.int64)
