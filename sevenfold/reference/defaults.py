"""A configuration with all its defaults, each under a comment that says what it means."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from sevenfold.config import RunConfig, entry_node, named, schema, validate
from sevenfold.docstrings import headline, option_lines
from sevenfold.layers import overlay
from sevenfold.ranges import inside
from sevenfold.reference.describe import SUPPLIED, TOP
from sevenfold.reference.listing import table
from sevenfold.reference.options import group_of, plain, scalar
from sevenfold.tables import OneOf, locate, mark_of

Node = dict[str, Any]


def commented(config: Mapping[str, Any]) -> str:
    """Return a checked configuration as YAML with every default, and each option's line as a comment.

    Read again, it is the same run. Raises ``ConfigError`` for an option that does not exist or has a value it
    cannot take, at any depth.
    """
    lines = option_lines(RunConfig)
    text: list[str] = []
    for key, value in config.items():
        text.append(f"# {lines.get(key, '')}")
        if key in ("callbacks", "logger"):
            text += _entries(key, value)
        elif key == "trainer":
            text += _trainer(value)
        elif key in TOP:
            entries = table(TOP[key])
            text += [f"{key}:", *_component(entries, value, key, "  ")]
        else:
            text += _value(key, value, "")
    return "\n".join(text) + "\n"


def _entries(part: str, nodes: Mapping[str, Any]) -> list[str]:
    text = [f"{part}:" if nodes else f"{part}: {{}}"]
    for label, options in nodes.items():
        if options is None:
            text.append(f"  {_key(label)}: null")
            continue
        entries, node = table(TOP[part]), entry_node(label, options)
        target = named(entries, node, f"{part}.{label}")
        text.append(f"  # {headline(target)}")
        inner = _options(
            target, {k: v for k, v in node.items() if k != "name"}, entries.given, f"{part}.{label}", "    "
        )
        head = [f"    _class: {node['name']}"] if "_class" in options else []
        text += [f"  {_key(label)}:", *head, *inner] if head or inner else [f"  {_key(label)}: {{}}"]
    return text


def _trainer(options: Mapping[str, Any]) -> list[str]:
    options = dict(options)
    # A mapping is a component of the suite's own table; a text is one of Lightning's names.
    strategy = options.pop("strategy", None) if isinstance(options.get("strategy"), Mapping) else None
    given = SUPPLIED["trainer"] + (("strategy",) if strategy else ())
    text = ["trainer:", *_options(locate("pytorch_lightning:Trainer"), options, given, "trainer", "  ")]
    if strategy:
        text += ["  strategy:", *_component(table("strategies"), strategy, "trainer.strategy", "    ")]
    return text


def _component(entries: Mapping[str, str], node: Mapping[str, Any], key: str, indent: str) -> list[str]:
    """Return the lines of a node: its name, then all its options."""
    target = named(entries, node, key)
    options = {option: value for option, value in node.items() if option != "name"}
    given = getattr(entries, "given", ())
    return [
        f"{indent}# {headline(target)}",
        f"{indent}name: {scalar(node['name'])}",
        *_options(target, options, given, key, indent),
    ]


def _options(
    target: Callable[..., Any], values: Mapping[str, Any], given: Collection[str], key: str, indent: str
) -> list[str]:
    """Return the lines of all options of a class, group or function: values given, else defaults."""
    validate(target, values, key, given)
    lines, text = option_lines(target), []
    for name, field in schema(target).items():
        if name in given:
            continue
        default = plain(field.default)
        # Given options are laid over the default's, as they are when the component is built.
        value = overlay(default, values[name], f"{key}.{name}") if name in values else default
        if lines.get(name):
            text.append(f"{indent}# {lines[name]}")
        text += _option(name, field.annotation, value, f"{key}.{name}", indent)
    return text


def _option(name: str, annotation: Any, value: Any, key: str, indent: str) -> list[str]:
    """Return the lines of one option; groups and components are completed with their own defaults."""
    mark, group = mark_of(annotation), group_of(annotation)
    head, deeper = f"{indent}{_key(name)}:", indent + "  "
    if isinstance(value, Mapping) and isinstance(mark, OneOf) and "name" in value:
        return [head, *_component(mark.table(), value, key, deeper)]
    if isinstance(value, Mapping) and group is not None:
        return [head, *_options(group, value, (), key, deeper)]
    if isinstance(value, Mapping) and value and mark is None:
        parts = {place.removeprefix("."): part for part, _, place in inside(annotation, value)}
        if any(mark_of(part) is not None or group_of(part) is not None for part in parts.values()):
            text = [head]
            for label, inner in value.items():
                text += _option(label, parts.get(label, Any), inner, f"{key}.{label}", deeper)
            return text
    return _value(name, value, indent)


def _value(name: str, value: Any, indent: str) -> list[str]:
    return [f"{indent}{_key(name)}: {scalar(value)}"]


def _key(name: str) -> str:
    return scalar(str(name))
