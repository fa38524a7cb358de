"""The tables of the suite, and what is in each."""

import itertools
import re
from dataclasses import asdict
from typing import Any

from sevenfold import zoo
from sevenfold.docstrings import headline
from sevenfold.errors import ConfigError, suggest
from sevenfold.recipes import folder, names
from sevenfold.tables import TABLES, ComponentTable, locate

Row = dict[str, Any]


def listing(topic: str | None) -> list[Row]:
    """Return one row for each table; or for each component of a table, each recipe.

    Args:
        topic: a name in :data:`sevenfold.tables.TABLES`, or its last word; ``recipes``; ``zoo``; None for all
            tables.
    """
    if topic is None:
        tables = [(name, table(name)) for name in TABLES]
        rows = [{"table": name, "holds": each.holds, "components": len(each)} for name, each in tables]
        return [
            *rows,
            {"table": "recipes", "holds": "shipped configurations", "components": len(names())},
            {
                "table": "zoo",
                "holds": "trained weights and tables in the package",
                "components": len(zoo.names()),
            },
        ]
    if topic == "recipes":
        return [{"name": name, "line": _first_comment(name)} for name in names()]
    if topic == "zoo":
        cards = [zoo.card(name) for name in zoo.names()]
        return [{"name": each.name, "line": each.line, "extra": each.extra} for each in cards]
    chosen = table(table_called(topic))
    return [
        {"name": name, "line": headline(locate(reference)), "extra": chosen.extras.get(name, "")}
        for name, reference in chosen.items()
    ]


def card_fields(name: str) -> Row:
    """Return what the card of a file of the zoo says, without empty fields."""
    return {key: value for key, value in asdict(zoo.card(name)).items() if value}


def table(name: str) -> ComponentTable:
    """Return the table of a name in ``TABLES``."""
    loaded: ComponentTable = locate(TABLES[name])
    return loaded


def table_called(topic: str) -> str:
    """Return the full name of a table from it, or from a last word that only one has."""
    # "solvers" is in two families, so a last word that several tables share does not choose one.
    matching = [name for name in TABLES if topic in (name, name.split(".")[-1])]
    if len(matching) == 1 or topic in TABLES:
        return topic if topic in TABLES else matching[0]
    if matching:
        raise ConfigError("", f"'{topic}' is several tables: {', '.join(matching)}")
    raise ConfigError("", f"'{topic}' is no table. {suggest(topic, [*TABLES, 'recipes', 'zoo'])}")


def as_text(rows: list[Row]) -> str:
    """Return rows as text in columns; those that are empty throughout are left out."""
    columns = [name for name in rows[0] if any(row[name] != "" for row in rows)] if rows else []
    cells = [[str(row[name]) for name in columns] for row in rows]
    # Each column as wide as its widest cell, the header included.
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)


def _first_comment(name: str) -> str:
    """Return the first sentence of the comment that opens a recipe; a colon before commands ends it too."""
    lines = (folder() / f"{name}.yaml").read_text().splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
    text = " ".join(line.removeprefix("#").strip() for line in comment)
    return re.split(r"(?<=[a-z0-9)]\.) |: (?=python )", text, maxsplit=1)[0]
