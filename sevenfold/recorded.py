"""Objects that know the options they were made with, so that they can be made again from plain values."""

import dataclasses
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from sevenfold.config import schema, validate

_SCALARS = (str, int, float, bool, type(None))
_MISSING = object()


class Recorded:
    """Base of classes whose objects have ``made_with``: the constructor's options, defaults included.

    Option groups (dataclasses) are mappings there, tuples are lists. What has no plain form, such as a module
    or a function, is left out.

    >>> class Blur(Recorded):
    ...     def __init__(self, *, width: int = 3, kind: str = "gauss") -> None:
    ...         self.width = width
    >>> Blur(width=5).made_with
    {'width': 5, 'kind': 'gauss'}
    """

    made_with: dict[str, Any]

    def __new__(cls, *values: Any, **options: Any) -> Self:
        """Record the options before the constructor sees them."""
        made = super().__new__(cls)
        # What a pickle makes is filled by its state afterwards: it has no options yet.
        call = inspect.signature(cls.__init__).bind_partial(made, *values, **options)
        call.apply_defaults()
        parameters = call.signature.parameters.values()
        flat = {p.name: call.arguments[p.name] for p in parameters if p.name in call.arguments}
        for parameter in parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                flat |= flat.pop(parameter.name, {})
        named = {name: plain(value) for name, value in list(flat.items())[1:]}
        object.__setattr__(
            made, "made_with", {name: value for name, value in named.items() if value is not _MISSING}
        )
        return made


def plain(value: Any) -> Any:
    """Return a value as scalars, lists and mappings; a marker where it has no such form."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        parts = {str(key): plain(inner) for key, inner in value.items()}
        return _MISSING if any(part is _MISSING for part in parts.values()) else parts
    if isinstance(value, list | tuple):
        items = [plain(inner) for inner in value]
        return _MISSING if any(item is _MISSING for item in items) else items
    if isinstance(value, Path):
        return str(value)
    if type(value) in _SCALARS:
        return value
    return value.item() if type(value).__module__ == "numpy" and not getattr(value, "shape", 1) else _MISSING


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with those as plain values that have such a form; others stay as they are."""
    return {
        name: value if (simple := plain(value)) is _MISSING else simple for name, value in options.items()
    }


def checked(kind: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Check plain options against a class's signature and convert them, as :func:`sevenfold.config.validate`.

    A constructor that takes ``**options`` passes them to the next class that defines a constructor.
    """
    converted: dict[str, Any] = {}
    for owner in kind.__mro__:
        if "__init__" not in vars(owner):
            continue
        parameters = inspect.signature(vars(owner)["__init__"]).parameters.values()
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return converted | validate(owner, options, "")
        own = [name for name in options if name in schema(owner)]
        converted |= validate(owner, {name: options[name] for name in own}, "")
        options = {name: value for name, value in options.items() if name not in own}
    return converted


def name_in(table: Mapping[str, str], kind: type) -> str:
    """Return the name by which a table calls a class; of one's own class ``package.module:Class``."""
    reference = f"{kind.__module__}:{kind.__qualname__}"
    return next((name for name, entry in table.items() if entry == reference), reference)


def node_of(table: Mapping[str, str], part: Recorded) -> dict[str, Any]:
    """Return the node ``{"name": ..., option: value}`` from which ``sevenfold.config.build`` makes a part."""
    return {"name": name_in(table, type(part)), **part.made_with}
