"""Reading of a typed space's ``parameters``: from names and kinds to entries in the order of their codes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sevenfold.config import ConfigError, build
from sevenfold.errors import InputError, shown, suggest
from sevenfold.nas.spaces.base import Ints
from sevenfold.nas.spaces.parameters import Cell, Choice, Numbers, Parameter, ordinal, real, same, whole

KINDS = ("choice", "ordinal", "int", "float", "cell", "repeat")
EXTRA = {"int": ("log",), "float": ("log",), "repeat": ("of",)}
MOST_BLOCKS = 64

Layout = dict[str, Any]
"""Place of each name's entry; of a repeat, the place of its length and the layout of each block."""


@dataclass(frozen=True)
class Entry:
    """One parameter: its full name, its kind, and the places and codes of earlier ones that it depends on."""

    name: str
    parameter: Parameter
    when: tuple[tuple[int, Ints], ...] = ()


def declare(parameters: Mapping[str, Any], steps: int) -> tuple[list[Entry], Layout]:
    """Return the entries of a space and where each name stands; ``ConfigError`` names the key at fault."""
    if not parameters:
        raise ConfigError("parameters", "a space needs one parameter at least, such as lr: {float: [0, 1]}")
    entries: list[Entry] = []
    layout = _declare(parameters, "", (), {}, entries, steps)
    return entries, layout


def _declare(
    nodes: Mapping[str, Any],
    before: str,
    when: tuple[tuple[int, Ints], ...],
    outer: Mapping[str, Any],
    entries: list[Entry],
    steps: int,
) -> Layout:
    """Append the entries of ``nodes``; names of ``outer`` may stand in conditions too."""
    layout: Layout = {}
    for name, node in nodes.items():
        key = f"parameters.{before}{name}"
        if not isinstance(name, str) or name.endswith("_str") or "." in name:
            raise ConfigError(key, "a name is a text without a dot that does not end in _str")
        kind = _kind(node, key)
        conditions = when + _conditions(node.get("when", {}), {**outer, **layout}, nodes, entries, key)
        if kind == "repeat":
            layout[name] = _repeat(node, name, before, conditions, {**outer, **layout}, entries, steps)
        else:
            layout[name] = len(entries)
            entries.append(Entry(f"{before}{name}", _parameter(kind, node, key, steps), conditions))
    return layout


def _kind(node: Any, key: str) -> str:
    """Return the kind that a node names, after checking its options."""
    if not isinstance(node, Mapping):
        raise ConfigError(key, f"expected a kind, such as {{float: [0, 1]}}, got {shown(node)}")
    kinds = [kind for kind in KINDS if kind in node]
    if len(kinds) != 1:
        wrong = next((str(option) for option in node if option not in ("when", "log", "of")), "")
        raise ConfigError(key, f"needs one kind of {', '.join(KINDS)}. {suggest(wrong, KINDS)}")
    known = (*kinds, "when", *EXTRA.get(kinds[0], ()))
    for option in node:
        if option not in known:
            raise ConfigError(f"{key}.{option}", f"is no option of '{kinds[0]}'. {suggest(option, known)}")
    return kinds[0]


def _parameter(kind: str, node: Mapping[str, Any], key: str, steps: int) -> Parameter:
    value, log = node[kind], node.get("log", False)
    if kind == "cell":
        from sevenfold.nas.spaces import SPACES

        # A cell is a space with graphs or codes; a typed space within one would be a repeat of its names.
        space = {"name": value} if isinstance(value, str) else value
        return Cell(build({n: c for n, c in SPACES.items() if n != "typed"}, space, f"{key}.cell"))
    if not isinstance(value, list | tuple) or not value:
        raise ConfigError(f"{key}.{kind}", f"expected a list of values, got {shown(value)}")
    if kind in ("choice", "ordinal"):
        if any(same(item, other) for place, item in enumerate(value) for other in value[:place]):
            raise ConfigError(f"{key}.{kind}", f"names a value twice: {shown(value)}")
        return Choice(value) if kind == "choice" else ordinal(value)
    low, high = _range(value, f"{key}.{kind}", int if kind == "int" else float)
    if not isinstance(log, bool):
        raise ConfigError(f"{key}.log", f"expected true or false, got {shown(log)}")
    if log and low <= 0:
        raise ConfigError(f"{key}.log", f"a logarithmic scale begins above 0, not at {low}")
    return whole(int(low), int(high), steps, log=log) if kind == "int" else real(low, high, steps, log=log)


def _range(value: Any, key: str, kind: type[int] | type[float]) -> tuple[float, float]:
    """Return the two ends of a range of numbers."""
    allowed: Any = int if kind is int else int | float
    sound = isinstance(value, list | tuple) and len(value) == 2
    if not sound or any(isinstance(end, bool) or not isinstance(end, allowed) for end in value):
        raise ConfigError(key, f"expected two {'whole ' if kind is int else ''}numbers, got {shown(value)}")
    low, high = value
    if not np.isfinite([low, high]).all() or low >= high:
        raise ConfigError(key, f"expected a finite number and a greater one, got {shown(value)}")
    return low, high


def _conditions(
    when: Any, layout: Mapping[str, Any], nodes: Mapping[str, Any], entries: list[Entry], key: str
) -> tuple[tuple[int, Ints], ...]:
    """Return the places and codes that ``when`` names, all above the parameter, so there is no cycle."""
    if not isinstance(when, Mapping):
        raise ConfigError(f"{key}.when", f"expected a mapping from names to values, got {shown(when)}")
    conditions = []
    for name, values in when.items():
        if name not in layout:
            why = "stands below it; put it above" if name in nodes else suggest(name, layout)
            raise ConfigError(f"{key}.when.{name}", f"is no parameter above this one. {why}")
        place = layout[name]
        parameter = None if isinstance(place, tuple) else entries[place].parameter
        if not isinstance(parameter, Choice) or (isinstance(parameter, Numbers) and not parameter.exact):
            message = "a condition needs a choice, an ordinal or an int whose values are all on the grid"
            raise ConfigError(f"{key}.when.{name}", message)
        # A single value is a list of one.
        listed = values if isinstance(values, list | tuple) else [values]
        try:
            codes = [parameter.read(value)[0] for value in listed]
        except InputError as error:
            raise ConfigError(f"{key}.when.{name}", str(error)) from None
        if not codes:
            raise ConfigError(f"{key}.when.{name}", "names no value")
        conditions.append((place, np.array(codes, np.int32)))
    return tuple(conditions)


def _repeat(
    node: Mapping[str, Any],
    name: str,
    before: str,
    conditions: tuple[tuple[int, Ints], ...],
    outer: Mapping[str, Any],
    entries: list[Entry],
    steps: int,
) -> tuple[int, list[Layout]]:
    """Append the length of a repeat and its blocks, each active where the length reaches it."""
    key = f"parameters.{before}{name}"
    least, most = _length(node["repeat"], f"{key}.repeat")
    blocks = node.get("of")
    if not isinstance(blocks, Mapping) or not blocks:
        raise ConfigError(f"{key}.of", f"expected the parameters of a block, got {shown(blocks)}")
    if any(isinstance(block, Mapping) and "repeat" in block for block in blocks.values()):
        raise ConfigError(f"{key}.of", "a repeat holds no other repeat")
    length = len(entries)
    entries.append(Entry(f"{before}{name}", ordinal(list(range(least, most + 1))), conditions))
    layouts = []
    for number in range(most):
        # Block i exists where the length is above i; lengths are coded from the least on.
        reached = np.arange(max(0, number + 1 - least), most - least + 1, dtype=np.int32)
        held = (*conditions, (length, reached))
        layouts.append(_declare(blocks, f"{before}{name}.{number}.", held, outer, entries, steps))
    return length, layouts


def _length(value: Any, key: str) -> tuple[int, int]:
    """Return the least and the greatest number of blocks."""
    whole_numbers = isinstance(value, list | tuple) and len(value) == 2 and all(type(v) is int for v in value)
    if not whole_numbers or not 0 <= value[0] <= value[1] <= MOST_BLOCKS or value[1] < 1:
        raise ConfigError(
            key, f"expected the least and greatest number of blocks, 0..{MOST_BLOCKS}, got {shown(value)}"
        )
    return value[0], value[1]
