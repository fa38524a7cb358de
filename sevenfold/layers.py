"""Overlays of configurations, and the ``key=value`` settings of the command line."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sevenfold.errors import ConfigError, shown, suggest

DEEPEST = 64
ONLY = "_only"


def merge(old: Mapping[str, Any], new: Mapping[str, Any], key: str = "") -> dict[str, Any]:
    """Lay the configuration ``new`` over ``old``, key by key; see ``overlay`` for what becomes of a key."""
    below = f"{key}." if key else ""
    return {**old, **{name: overlay(old.get(name), value, f"{below}{name}") for name, value in new.items()}}


def overlay(old: Any, new: Any, key: str = "") -> Any:
    """Lay one value over another at ``key``: mappings merge, everything else (lists too) is replaced.

    A mapping that changes its ``name`` chooses another component, so the old component's options are dropped.
    A mapping whose keys are all numbers replaces these elements of a list.
    """
    if isinstance(old, list) and isinstance(new, Mapping) and new and all(str(i).isdecimal() for i in new):
        return _replace_elements(old, new, key)
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    another = "name" in old and "name" in new and old["name"] != new["name"]
    return new if another else merge(old, new, key)


def _replace_elements(old: list[Any], new: Mapping[Any, Any], key: str) -> list[Any]:
    elements = list(old)
    for index, value in new.items():
        if int(index) >= len(old):
            raise ConfigError(f"{key}[{index}]", f"is out of range: the list has {len(old)} elements")
        elements[int(index)] = overlay(old[int(index)], value, f"{key}[{index}]")
    return elements


def nested(path: str, value: Any) -> dict[str, Any]:
    """Return the mapping in which ``value`` stands at ``path``: dotted names and indices, ``a.b[0].c``."""
    parts = re.sub(r"\[(\d+)\]", r".\1", path).split(".")
    if not all(parts) or len(parts) > DEEPEST:
        raise ConfigError(shown(path), "expected names joined by dots, such as model.optim.lr")
    for part in reversed(parts):
        value = {part: value}
    return value


def keep_only(node: Any, key: str = "") -> Any:
    """Resolve every ``_only: [label, ...]``: its mapping keeps these, in this order, others are null.

    Mappings of labels (``algorithms``, ``methods``) merge over layers; ``_only`` is how a layer says that a
    label of a base file is not wanted; null is what removes a single one. An unknown label is a mistake.
    """
    if isinstance(node, list):
        return [keep_only(value, f"{key}[{index}]") for index, value in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    if ONLY in node:
        node = _chosen(node, key)
    return {name: keep_only(value, f"{key}.{name}" if key else str(name)) for name, value in node.items()}


def _chosen(node: Mapping[str, Any], key: str) -> dict[str, Any]:
    labels, entries = node[ONLY], {name: value for name, value in node.items() if name != ONLY}
    labels = labels if isinstance(labels, list) else [labels]
    full = f"{key}.{ONLY}" if key else ONLY
    if not labels or not all(isinstance(label, str) for label in labels):
        raise ConfigError(full, f"expected a list of labels, got {shown(node[ONLY])}")
    for label in labels:
        if label not in entries:
            raise ConfigError(full, f"'{label}' is not there. {suggest(label, map(str, entries))}")
    return {label: entries[label] for label in labels} | {
        label: None for label in entries if label not in labels
    }


def expanded_size(node: Any, root: Any, sizes: dict[str, int] | None = None) -> int:
    """Return how many values a configuration has once every ``${key}`` is replaced by what it refers to."""
    sizes = {} if sizes is None else sizes
    if isinstance(node, Mapping | list):
        return 1 + sum(
            expanded_size(value, root, sizes)
            for value in (node.values() if isinstance(node, Mapping) else node)
        )
    reference = re.fullmatch(r"\$\{([\w.-]+)\}", node) if isinstance(node, str) else None
    if reference is None:
        return 1
    if reference[1] not in sizes:
        sizes[reference[1]], target = (
            1,
            root,
        )  # a circle counts once here; resolving it is an error of its own
        for part in reference[1].split("."):
            target = target.get(part) if isinstance(target, Mapping) else None
        sizes[reference[1]] = expanded_size(target, root, sizes)
    return sizes[reference[1]]


def laid_over(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge layers, the first at the bottom."""
    config: dict[str, Any] = {}
    for layer in layers:
        config = merge(config, layer)
    return config


def flat(config: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return nested options by dotted key."""
    options: dict[str, object] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            options |= flat(value, f"{prefix}{key}.")
        else:
            options[f"{prefix}{key}"] = value if isinstance(value, int | float | str) else str(value)
    return options
