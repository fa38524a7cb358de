"""A CSV file with a header: its rows by line, missing, infinite and decimal numbers, without any role."""

import csv
import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.config import ConfigError, suggest
from sevenfold.errors import InputError, one_line

MISSING = ("", "?", "NA", "nan", "NaN")
Row = tuple[int, dict[str, str]]


@dataclass(frozen=True)
class CsvFile:
    """A file and how it is written.

    Attributes:
        path: of the file.
        delimiter: between fields.
        decimal: the decimal sign of numbers.
        encoding: of the file; a byte-order mark is skipped.
        missing_codes: codes of missing values, beside the usual ones.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "t.csv"
        >>> _ = path.write_text(chr(10).join(["age,job", "31,cook"]))
        >>> CsvFile(str(path)).rows()
        [(2, {'age': '31', 'job': 'cook'})]
    """

    path: str
    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8-sig"
    missing_codes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.delimiter == self.decimal:
            raise ConfigError(
                "decimal", f"'{self.decimal}' is the delimiter, too; set delimiter: ';' or another"
            )

    def how(self) -> dict[str, Any]:
        """Return how the file is written, as plain values, without its path."""
        plain = {name: value for name, value in asdict(self).items() if name != "path"}
        return {**plain, "missing_codes": list(self.missing_codes)}

    def rows(self) -> list[Row]:
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

    def check_columns(self, rows: Sequence[Row], names: Sequence[str]) -> None:
        """Raise for the first column that is not there."""
        for name in names:
            if not rows or name not in rows[0][1]:
                known = rows[0][1] if rows else []
                raise InputError(f"'{self.path}' has no column '{name}'. {suggest(name, known)}")

    def is_missing(self, row: dict[str, str], name: str, more: Collection[str] = ()) -> bool:
        """Tell whether a value is missing; ``more`` are further codes, in any case."""
        value = row[name].strip()
        return value in MISSING or value in self.missing_codes or value.casefold() in more

    def refuse_infinite(self, rows: Sequence[Row], numeric: Sequence[str]) -> None:
        """Raise for an infinite number, which would make its whole column undefined."""
        for number, row in rows:
            for name in numeric:
                try:
                    infinite = math.isinf(float(row[name].replace(self.decimal, ".")))
                except ValueError:
                    continue
                if infinite:
                    raise InputError(
                        f"'{self.path}' line {number}: column '{name}' is infinite; correct or blank it"
                    )

    def points(self, values: NDArray[np.str_], name: str) -> NDArray[np.str_]:
        """Return numbers with decimal points."""
        if self.decimal == ",":
            return np.char.replace(values, ",", ".")
        if any("," in value for value in values.tolist()):
            raise InputError(f"column '{name}' has numbers with a comma; set decimal: ',' and a delimiter")
        return values


def texts_of(rows: Sequence[Row], name: str) -> NDArray[np.str_]:
    """Return a column as text: "1" may be a label, a level or a number.

    >>> texts_of([(2, {"a": " 1"})], "a").tolist()
    ['1']
    """
    return np.array([row[name].strip() for _, row in rows], dtype=str)
