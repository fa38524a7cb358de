"""The content of a report, whatever it is about."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sevenfold.report.text import aligned

Table = list[list[str]]  # rows of cells, the header first

ROWS, COLUMNS = 12, 8
"""Largest table at the end of a run; the whole one is in ``table.txt``."""


@dataclass(frozen=True)
class Section:
    """A part of a report: a title, paragraphs, and a table with its header first (or none)."""

    title: str
    text: Sequence[str] = ()
    rows: Table = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """The result of a run for a reader.

    Args:
        title: of the page.
        headline: the table to read first, at most 12 rows and 8 columns; the header first.
        text: one or two sentences that say what the table shows.
        sections: further tables and explanations.
        pictures: files below the run folder, in the order in which they are shown.
        scalars: numbers by flat name, such as ``closed_form/val_regret/mean``; they become ``results.json``
            and go to trackers. Names that begin with ``reference/`` are baselines and published values.
        facts: what ``results.json`` says of the run beside numbers, such as ``selected_on``.
    """

    title: str
    headline: Table
    text: Sequence[str] = ()
    sections: Sequence[Section] = ()
    pictures: Sequence[Path] = ()
    scalars: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return what the end of a run prints: the sentences and the headline table, cut to its size."""
        table = [row[:COLUMNS] for row in self.headline[: ROWS + 1]]
        rest = len(self.headline) - len(table)
        lines = [*self.text, *(["", aligned(table)] if table else [])]
        more = [f"{rest} more row{'s' if rest > 1 else ''}: table.txt"] if rest > 0 else []
        return "\n".join([*lines, *more]).strip()

    def full_text(self) -> str:
        """Return every sentence and table as text."""
        parts = [Section(self.title, self.text, self.headline), *self.sections]
        blocks = [[s.title, *s.text, *([aligned(s.rows)] if s.rows else [])] for s in parts]
        return "\n\n".join("\n".join(lines) for lines in blocks) + "\n"

    def to_json(self, folder: Path) -> str:
        """Return everything but the numbers as JSON; pictures by their place below the run folder."""
        content = asdict(self) | {"pictures": [str(path.relative_to(folder)) for path in self.pictures]}
        # They stand in results.json: one place for each number.
        del content["scalars"]
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, folder: Path) -> "Report":
        """Return the report of :meth:`to_json`, without numbers."""
        content = json.loads(text)
        sections = [Section(**section) for section in content.pop("sections")]
        pictures = [folder / name for name in content.pop("pictures")]
        return cls(**content, sections=sections, pictures=pictures)
