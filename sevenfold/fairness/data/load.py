"""Loading of a table by the source's name, with synthetic people where its files are absent."""

import logging
from collections.abc import Mapping
from typing import Any

from sevenfold.config import ConfigError, build, prepare
from sevenfold.errors import InputError
from sevenfold.fairness.data import SOURCES
from sevenfold.fairness.data.table import Table, attribute

log = logging.getLogger(__name__)
REAL = ("adult", "bank", "compas", "credit_card", "dutch", "oulad")


def open_source(
    node: Mapping[str, Any], root: str, protected: str | None, key: str = "source"
) -> tuple[Table, str]:
    """Return the table of a source and the protected attribute to use; None where groups are chosen else.

    Files of published data sets are expected in ``root``. Where one is absent the table is synthetic instead:
    its name says so, and a warning is logged.
    """
    prepare(SOURCES, node, key)
    folder = {"root": root} if node["name"] in REAL else {}
    try:
        table = build(SOURCES, {**folder, **node}, key).load()
    except FileNotFoundError as error:
        log.warning("%s. Using synthetic people instead of %s.", error, node["name"])
        table, protected = build(SOURCES, {"name": "synthetic"}, key).load(), protected and "a"
    if protected is None:
        return table, ""
    try:
        attribute(table, protected)
    except InputError as error:
        known = protected in table.people
        more = f". It has more groups than two: set groups to {{{protected}: null}}" if known else ""
        raise ConfigError("protected", f"{error}{more}") from None
    return table, protected
