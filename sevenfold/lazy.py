"""Public names of a package that are imported when they are first used (PEP 562)."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from sevenfold.errors import suggest


def lazy(module: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package whose public names lie in other modules.

    Args:
        module: the package's ``__name__``.
        names: public name -> ``"package.module:attribute"``.

    >>> get, names = lazy("sevenfold", {"Range": "sevenfold.ranges:Range"})
    >>> get("Range")(0, 1).high
    1
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module '{module}' has no attribute '{name}'. {suggest(name, names)}")
        place, _, attribute = names[name].partition(":")
        value = getattr(importlib.import_module(place), attribute)
        setattr(sys.modules[module], name, value)
        return value

    def names_of() -> list[str]:
        return sorted({*vars(sys.modules[module]), *names})

    return get, names_of
