"""Tables as aligned text."""

import math
from collections.abc import Sequence
from typing import Any


def format_value(value: Any) -> str:
    """Format a number to five significant digits, anything else as text; a missing value is a dash."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.5g}" if math.isfinite(value) else str(value)
    return str(value)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Align rows of text under their header: the first column left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    lines = ["  ".join(row).rstrip() for row in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
