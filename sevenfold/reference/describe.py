"""Everything about one component: what it is, where it is, and each of its options."""

import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from sevenfold.docstrings import headline
from sevenfold.errors import ConfigError, suggest
from sevenfold.reference.listing import table, table_called
from sevenfold.reference.options import (
    Option,
    component_marks,
    options,
    shown_default,
    table_name,
)
from sevenfold.tables import TABLES, ComponentTable, component, locate

TOP = {
    "study": "studies",
    "executor": "executors",
    "model": "models",
    "data": "data",
    "callbacks": "callbacks",
    "logger": "loggers",
}
"""Tables that stand at the top of a configuration, by the key there."""
SINGLE = {"run": "sevenfold.config:RunConfig", "trainer": "pytorch_lightning:Trainer"}
SUPPLIED = {"trainer": ("logger", "callbacks", "default_root_dir")}  # the program's own
WIDTH = 100

Target = tuple[str, Callable[..., Any], Collection[str], str]  # title, class or function, given, extra


def lookup(topic: str) -> Target:
    """Return the component that a topic means.

    Args:
        topic: ``run``, ``trainer``, ``study=nas_search``, ``callbacks.checkpoint``, a key of a configuration
            and a name (``model.network=deq_flow``), a table and a name (``deq.solvers=anderson``), a name
            that only one table has, or ``package.module:Class`` where the package is allowed.

    >>> lookup("deq.solvers=anderson")[0]
    'deq.solvers=anderson'
    """
    if topic in SINGLE:
        return topic, locate(SINGLE[topic]), SUPPLIED.get(topic, ()), ""
    key, equals, name = topic.partition("=")
    if not equals and ":" not in topic and key.partition(".")[0] in ("callbacks", "logger"):
        key, _, name = key.partition(".")
    if not equals and not name:
        return _anywhere(topic)
    names = tables_at(key)
    for place in names:
        if name in table(place) or ":" in name:
            return _target(place, name)
    known = [entry for place in names for entry in table(place)]
    raise ConfigError(key, f"'{name}' is not known. {suggest(name, known)}")


def _anywhere(name: str) -> Target:
    if ":" in name:
        return name, component({}, name, "describe"), (), ""
    places = [place for place in TABLES if name in table(place)]
    if len(places) > 1:
        raise ConfigError(
            "", f"'{name}' is in several tables: {', '.join(f'{place}={name}' for place in places)}"
        )
    if not places:
        known = dict.fromkeys(entry for place in TABLES for entry in table(place))
        raise ConfigError("", f"'{name}' is no component. {suggest(name, list(known))}")
    return _target(places[0], name)


def _target(place: str, name: str) -> Target:
    entries = table(place)
    return f"{place}={name}", component(entries, name, place), entries.given, entries.extras.get(name, "")


def tables_at(key: str) -> list[str]:
    """Return the names of the tables whose components may stand at a key of a configuration.

    >>> tables_at("model.network")
    ['flow.networks', 'nas.predictors', 'diffreps.networks']
    """
    head, *parts = key.split(".")
    if key in TABLES or head not in TOP:
        return [table_called(key)]
    names = [TOP[head]]
    labels = False  # whether the next part may be a label
    for part in parts:
        below = list(
            dict.fromkeys(place for place, option in _options_of(names) if part in option.split("."))
        )
        if not below and labels:
            labels = False
            continue
        if not below:
            known = {option.split(".")[0] for _, option in _options_of(names)}
            raise ConfigError(key, f"no component stands at '{part}'. {suggest(part, known)}")
        names, labels = below, True
    return names


def _options_of(places: list[str]) -> Iterator[tuple[str, str]]:
    """Yield (table, option) for every option of the components of some tables that takes a component."""
    for place in places:
        entries: ComponentTable = table(place)
        for reference in entries.values():
            for option in options(locate(reference), entries.given):
                for mark in component_marks(option.annotation):
                    yield from ((table_name(each), option.name) for each in mark.tables)


def description(title: str, target: Callable[..., Any], given: Collection[str], extra: str) -> dict[str, Any]:
    """Return all that is known about a component, as plain values."""
    return {
        "component": title,
        "reference": f"{target.__module__}:{getattr(target, '__qualname__', title)}",
        "line": headline(target),
        "extra": extra,
        "given": sorted(given),
        "options": [_described(option) for option in options(target, given)],
    }


def _described(option: Option) -> dict[str, Any]:
    return {
        "name": option.name,
        "type": option.type,
        "required": option.required,
        "default": shown_default(option),
        "accepts": option.accepts,
        "line": option.line,
    }


def as_page(described: Mapping[str, Any]) -> str:
    """Return a description as a page of text."""
    lines = [described["component"], described["reference"], "", *textwrap.wrap(described["line"], WIDTH)]
    if described["extra"]:
        lines.append(f"Needs the extra '{described['extra']}': pip install 'sevenfold[{described['extra']}]'")
    lines += [""] if described["options"] else ["", "It has no options."]
    for option in described["options"]:
        lines.append(f"{option['name']}: {option['type']} [{option['default']}]")
        lines += textwrap.wrap(
            option["line"] or "(no line)", WIDTH - 4, initial_indent="    ", subsequent_indent="    "
        )
        if option["accepts"] and not option["type"].startswith("one of"):
            names = "accepts " + ", ".join(option["accepts"])
            lines += textwrap.wrap(names, WIDTH, initial_indent="    ", subsequent_indent="      ")
    return "\n".join(lines)
