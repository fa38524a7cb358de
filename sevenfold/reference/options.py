"""Options of a component as a reader sees them: type, range, default, one line, and accepted names."""

import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from omegaconf import MISSING

from sevenfold.config import schema
from sevenfold.docstrings import option_lines
from sevenfold.ranges import MOST, Range
from sevenfold.tables import TABLES, OneOf, OptionsOf, locate, mark_of

WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null"}


@dataclass(frozen=True)
class Option:
    """An option of a component.

    Args:
        name: its key below the component; options of a group are ``group.option``.
        annotation: what its constructor declares.
        default: as plain values; ``MISSING`` where it must be given.
        line: what it means.
    """

    name: str
    annotation: Any
    default: Any
    line: str

    @property
    def required(self) -> bool:
        """Whether a configuration must give it."""
        return isinstance(self.default, str) and self.default == MISSING

    @property
    def type(self) -> str:
        """What it takes, in words."""
        return type_text(self.annotation)

    @property
    def accepts(self) -> list[str]:
        """The names it accepts: of components, or of choices."""
        return [name for mark in component_marks(self.annotation) for name in mark.table()] or list(
            map(str, choices(self.annotation))
        )


def options(target: Callable[..., Any], given: Collection[str] = ()) -> list[Option]:
    """Return every option of a component, groups (dataclasses) by their own options.

    Args:
        target: a class or function.
        given: arguments that come from the program.

    >>> from sevenfold.deq.anderson import Anderson
    >>> options(Anderson)[0].line != ""
    True
    """
    lines = option_lines(target)
    listed = []
    for name, field in schema(target).items():
        if name in given:
            continue
        group = group_of(field.annotation)
        if group is None:
            listed.append(Option(name, field.annotation, plain(field.default), lines.get(name, "")))
            continue
        # A group may be null by default: then its own defaults hold once it is given.
        default = plain(field.default)
        for inner in options(group):
            value = _inside(default, inner.name.split("."), inner.default)
            listed.append(dataclasses.replace(inner, name=f"{name}.{inner.name}", default=value))
    return listed


def _inside(default: Any, path: list[str], otherwise: Any) -> Any:
    """Return what a group's default holds at a path; ``otherwise`` where the group has none."""
    for part in path:
        if not isinstance(default, Mapping) or part not in default:
            return otherwise
        default = default[part]
    return default


def group_of(annotation: Any) -> type | None:
    """Return the dataclass that an annotation is, or that it may be beside null."""
    annotation = bare(annotation)
    if is_union(annotation):
        members = [group_of(member) for member in typing.get_args(annotation)]
        return next((member for member in members if member is not None), None)
    return annotation if isinstance(annotation, type) and dataclasses.is_dataclass(annotation) else None


def bare(annotation: Any) -> Any:
    """Return an annotation without its marks."""
    return typing.get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


def is_union(annotation: Any) -> bool:
    """Tell whether an annotation is a union."""
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def plain(value: Any) -> Any:
    """Return a default as a configuration would write it: mappings, lists and scalars."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    # YAML has one kind of sequence.
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value) if isinstance(value, Path) else repr(value)


def component_marks(annotation: Any) -> Iterator[OneOf]:
    """Yield the marks of components anywhere inside an annotation."""
    mark = mark_of(annotation)
    if isinstance(mark, OneOf):
        yield mark
    elif mark is None:
        for argument in typing.get_args(bare(annotation)):
            yield from component_marks(argument)


def choices(annotation: Any) -> tuple[Any, ...]:
    """Return the values that an option is one of; nothing where it takes other values too.

    >>> choices(Literal["min", "max"] | None)
    ('min', 'max')
    """
    annotation = bare(annotation)
    # Only where every member of a union is a choice is the list of names complete.
    if typing.get_origin(annotation) is Literal:
        return typing.get_args(annotation)
    members = [member for member in typing.get_args(annotation) if member is not type(None)]
    if not is_union(annotation) or not all(choices(member) for member in members):
        return ()
    return tuple(value for member in members for value in choices(member))


def table_name(reference: str) -> str:
    """Return the name by which ``list`` calls a table."""
    return next(name for name, known in TABLES.items() if known == reference)


def type_text(annotation: Any) -> str:
    """Say what an annotation takes, ranges included.

    >>> from sevenfold.ranges import Count
    >>> type_text(list[Count] | None)
    'list of whole number, at least 1; or null'
    """
    ranges = [mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, Range)]
    mark = mark_of(annotation) if hasattr(annotation, "__metadata__") else None
    annotation = bare(annotation)
    if isinstance(mark, OneOf):
        kind = "name in" if annotation is str else "component of"
        return f"{kind} {' or '.join(table_name(reference) for reference in mark.tables)}"
    if isinstance(mark, OptionsOf):
        return f"options of {mark.target.partition(':')[2]}"
    if ranges and annotation in WORDS:
        return f"{WORDS[annotation]}, {range_text(ranges[0])}".removesuffix(", ")
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if is_union(annotation):
        parts = [type_text(member) for member in arguments if member is not type(None)]
        joined = " or ".join(dict.fromkeys(parts))
        return joined + ("; or null" if type(None) in arguments else "")
    if origin is Literal:
        return "one of " + ", ".join("null" if value is None else str(value) for value in arguments)
    if origin is list or (origin is tuple and arguments[-1] is Ellipsis):
        return f"list of {type_text(arguments[0])}"
    if origin is tuple:
        return f"{len(arguments)} of {type_text(arguments[0])}"
    if origin is dict:
        return f"by label: {type_text(arguments[1])}"
    # Options of a group are listed one by one, so here one word is enough.
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return "options"
    return WORDS.get(annotation, "any value" if annotation in (Any, inspect.Parameter.empty) else "value")


def range_text(bounds: Range) -> str:
    """Say a range without the words that go without saying."""
    if bounds.high is not None and bounds.high >= MOST and bounds.low is not None:
        return f"at least {bounds.low:g}"
    return str(bounds).removeprefix("a finite number").removeprefix("a number").strip()


def shown_default(option: Option) -> str:
    """Return a default as YAML writes it on one line."""
    return "required" if option.required else scalar(option.default)


def scalar(value: Any) -> str:
    """Return plain values as YAML on one line."""
    import yaml

    # YAML reads 1e+16 as text: it takes an exponent for a number only with a dot before it.
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        return repr(value)
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9, sort_keys=False)
    return text.removesuffix("\n...\n").strip()


def target_of(table: str, entry: str) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """Return a component of the table of that name, and its arguments that are no options."""
    components = locate(TABLES[table])
    return locate(components[entry]), components.given
