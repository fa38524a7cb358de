"""Stand-in for sevenfold.config.build until it lands."""

from importlib import import_module
from typing import Any


def choose(table: dict[str, str], node: dict[str, Any], key: str) -> Any:
    """Build the named component."""
    options = dict(node)
    module, name = table[options.pop("name")].split(":")
    return getattr(import_module(module), name)(**options)
