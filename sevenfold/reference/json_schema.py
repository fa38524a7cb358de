"""A JSON schema of configuration files, for editors that complete and check YAML.

A file may be a part of a configuration that other files complete, so nothing is required, a node may lack its
name (then the options of any component of its table may stand in it), and wherever a number or choice stands
an interpolation ``${...}`` may.
"""

import typing
from collections.abc import Callable, Collection
from typing import Any

from sevenfold.config import RunConfig, schema
from sevenfold.docstrings import headline, option_lines
from sevenfold.ranges import Range
from sevenfold.reference.describe import SUPPLIED, TOP
from sevenfold.reference.listing import table
from sevenfold.reference.options import bare, choices, group_of, is_union, plain
from sevenfold.tables import TABLES, ComponentTable, OneOf, OptionsOf, locate, mark_of

Schema = dict[str, Any]
LATER: Schema = {"type": "string", "pattern": r"^(\?\?\?$|.*\$\{)"}
"""A value that is given later: by another key, on the command line or by a file laid over."""
OUTSIDE: Schema = {"type": "string", "pattern": r"^\w+(\.\w+)*:\w+$"}
"""The name of one's own class."""
EMPTY = type(None)


def config_schema() -> Schema:
    """Return the schema of a configuration file (draft 2020-12)."""
    definitions: dict[str, Schema] = {}
    for name in TABLES:
        _define_table(name, table(name), definitions)
    lines = option_lines(RunConfig)
    properties: dict[str, Schema] = {"base": _any_of({"type": "string"}, _array({"type": "string"}))}
    for key, field in schema(RunConfig).items():
        if key in ("callbacks", "logger"):
            properties[key] = _entries(TOP[key])
        elif key in TOP:
            properties[key] = _reference(TOP[key])
        elif key == "trainer":
            properties[key] = _trainer(definitions)
        else:
            properties[key] = _value(field.annotation, definitions)
        properties[key] = {**properties[key], "description": lines.get(key, "")}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A configuration of Sevenfold",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _define_table(name: str, entries: ComponentTable, definitions: dict[str, Schema]) -> None:
    """Add the schema of every component of a table, and that of a node which names one of them."""
    any_option: dict[str, list[Schema]] = {}
    branches = []
    for entry, reference in entries.items():
        target = locate(reference)
        options = _properties(target, entries.given, definitions)
        for option, value in options.items():
            kinds = any_option.setdefault(option, [])
            if value not in kinds:
                kinds.append(value)
        place = f"{name}={entry}"
        definitions[place] = _object({"name": {"const": entry}, **options}, headline(target))
        branches.append(
            {
                "if": {"properties": {"name": {"const": entry}}, "required": ["name"]},
                "then": _reference(place),
            }
        )
    definitions[name] = {
        "type": ["object", "null", "string"],
        "properties": {"name": _any_of({"enum": list(entries)}, OUTSIDE, LATER)},
        "allOf": [
            *branches,
            {
                "if": {"type": "object", "not": {"required": ["name"]}},
                # A file that is laid over another may change an option without repeating the name.
                "then": {
                    "propertyNames": {"enum": [*any_option, "name", "_only"]},
                    "properties": {option: _any_of(*kinds) for option, kinds in any_option.items()},
                },
            },
        ],
    }


def _properties(
    target: Callable[..., Any], given: Collection[str], definitions: dict[str, Schema]
) -> dict[str, Schema]:
    lines = option_lines(target)
    properties = {}
    for name, field in schema(target).items():
        if name not in given:
            described: Schema = {"description": lines[name]} if lines.get(name) else {}
            default = plain(field.default)
            if isinstance(default, int | float | str | bool) and default != "???":
                # JSON has no NaN.
                described["default"] = default if default == default else "nan"
            properties[name] = {**_value(field.annotation, definitions), **described}
    return properties


def _value(annotation: Any, definitions: dict[str, Schema]) -> Schema:
    """Return the schema of what an annotation takes, or what may stand for it in a file."""
    mark, group = mark_of(annotation), group_of(annotation)
    if isinstance(mark, OneOf):
        return _components(annotation, mark)
    if isinstance(mark, OptionsOf):
        return _object(_properties(locate(mark.target), (), definitions))
    if group is not None:
        place = f"{group.__module__}:{group.__qualname__}"
        if place not in definitions:
            definitions[place] = {}  # a group that holds itself ends here
            definitions[place] = _object(_properties(group, (), definitions), headline(group))
        return _any_of(_reference(place), LATER, *([{"type": "null"}] if _optional(annotation) else []))
    if choices(annotation):
        return _any_of({"enum": [*choices(annotation), *([None] if _optional(annotation) else [])]}, LATER)
    if is_union(annotation):
        return _any_of(*(_value(member, definitions) for member in typing.get_args(annotation)))
    return _plain_value(annotation, definitions)


def _plain_value(annotation: Any, definitions: dict[str, Schema]) -> Schema:
    ranges = [mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, Range)]
    annotation = bare(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is bool:
        return _any_of({"type": "boolean"}, LATER)
    if annotation in (int, float):
        number: Schema = {"type": "integer" if annotation is int else "number"}
        for bound in ranges:
            number |= _bounds(bound)
        # YAML reads 1e-4 as text, and the program reads that text as a number.
        return _any_of(number, LATER, {"type": "string", "pattern": r"^[-+]?[\d.]+([eE][-+]?\d+)?$"})
    if annotation is str:
        return {"type": ["string", "number", "boolean"]}
    if annotation is EMPTY:
        return {"type": "null"}
    if origin in (list, tuple):
        # A mapping by number changes single elements of a list in a base file.
        return _any_of(_array(_value(arguments[0], definitions)), _by_index(), LATER)
    if origin is dict:
        inner = _any_of(_value(arguments[1], definitions), {"type": "null"})
        return {"type": ["object", "string"], "properties": {"_only": {}}, "additionalProperties": inner}
    return {}


def _components(annotation: Any, mark: OneOf) -> Schema:
    names = [entry for reference in mark.tables for entry in locate(reference)]
    bare_names = _any_of({"enum": names}, OUTSIDE, LATER)
    nodes = [_reference(next(n for n, known in TABLES.items() if known == each)) for each in mark.tables]
    if _takes_text(annotation):
        return _any_of(bare_names, *([{"type": "null"}] if _optional(annotation) else []))
    return nodes[0] if len(nodes) == 1 else _any_of(*nodes)


def _takes_text(annotation: Any) -> bool:
    members = typing.get_args(bare(annotation)) if is_union(bare(annotation)) else (annotation,)
    return any(bare(member) is str for member in members)


def _trainer(definitions: dict[str, Schema]) -> Schema:
    trainer = _object(_properties(locate("pytorch_lightning:Trainer"), SUPPLIED["trainer"], definitions))
    trainer["properties"]["strategy"] = _any_of({"type": "string"}, _reference("strategies"))
    return trainer


def _entries(name: str) -> Schema:
    """Return the schema of ``callbacks`` or ``logger``: entries by name, others with a ``_class``."""
    entries = table(name)
    switch: Schema = {"type": ["boolean", "null"]}
    known = {entry: _any_of(switch, _entry(f"{name}={entry}")) for entry in entries}
    other: Schema = {
        "type": "object",  # null would let a typo of a label remove nothing, in silence
        "properties": {"_class": _any_of({"enum": list(entries)}, OUTSIDE)},
        "required": ["_class"],
    }
    return {"type": "object", "properties": {**known, "_only": {}}, "additionalProperties": other}


def _entry(place: str) -> Schema:
    return {"allOf": [_reference(place), {"not": {"required": ["name"]}}]}


def _bounds(bound: Range) -> Schema:
    limits: Schema = {}
    if bound.low is not None:
        limits["exclusiveMinimum" if bound.open_at("low") else "minimum"] = bound.low
    if bound.high is not None:
        limits["exclusiveMaximum" if bound.open_at("high") else "maximum"] = bound.high
    return limits


def _object(properties: dict[str, Schema], description: str = "") -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": {**properties, "_only": {}},
        "additionalProperties": False,
    }


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _by_index() -> Schema:
    return {"type": "object", "propertyNames": {"pattern": r"^\d+$"}}


def _any_of(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _optional(annotation: Any) -> bool:
    return is_union(bare(annotation)) and EMPTY in typing.get_args(bare(annotation))
