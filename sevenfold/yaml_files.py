"""YAML text as plain data, with bounds: what is too deep, too large or not plain is refused in one line."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from sevenfold.errors import ConfigError, one_line, shown, suggest
from sevenfold.layers import DEEPEST, merge

LARGEST = 200_000
_SCALARS = (str, int, float, bool, type(None))
# YAML 1.1 reads 1e-4 as text; this is its expression for floats with an optional point.
_FLOAT = re.compile(
    r"""^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?
     |[-+]?(?:[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)
     |\.[0-9_]+(?:[eE][-+][0-9]+)?
     |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*
     |[-+]?\.(?:inf|Inf|INF)
     |\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.1 with floats such as ``1e-4``, without dates, and without repeated keys."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Resolve merge keys ``<<``, whose aliases may multiply."""
        super().flatten_mapping(node)
        if len(node.value) > LARGEST:
            raise yaml.YAMLError(f"more than {LARGEST} values")

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping; a key that is written twice is a mistake."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.YAMLError(f"found duplicate key {key.value}, line {key.start_mark.line + 1}")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":float"))]
    for letter, resolvers in Loader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def parse_yaml(text: str) -> Any:
    """Return the plain data that YAML ``text`` holds; raise ``yaml.YAMLError`` for anything else."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=Loader):  # an iterative scan: deep text cannot exhaust the stack
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise yaml.YAMLError(f"nested more than {DEEPEST} levels deep")
        content = yaml.load(text, Loader=Loader)
    except (ValueError, TypeError, AttributeError, LookupError) as error:  # of PyYAML's own constructors
        raise yaml.YAMLError(one_line(error)) from None
    check_plain(content)
    return content


def check_plain(content: Any) -> None:
    """Raise ``yaml.YAMLError`` unless ``content`` is a bounded tree of mappings, lists and scalars."""
    count, waiting = 0, [(content, 0)]
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if depth > DEEPEST or count > LARGEST:
            bound = f"{DEEPEST} levels deep" if depth > DEEPEST else f"{LARGEST} values"
            raise yaml.YAMLError(f"expands to more than {bound}")
        if isinstance(node, dict):
            if strange := [key for key in node if not isinstance(key, _SCALARS[:-1])]:
                raise yaml.YAMLError(f"the key {shown(strange[0])} is no plain name")
            waiting += [(value, depth + 1) for value in node.values()]
        elif isinstance(node, list):
            waiting += [(value, depth + 1) for value in node]
        elif not isinstance(node, _SCALARS):
            raise yaml.YAMLError(f"{shown(node)} is not a plain value")


def read_file(path: str | Path, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read one YAML file with the files of its ``base:`` list merged beneath it, left to right.

    Base paths are relative to the file that names them. Absent files, circles, YAML errors and files whose
    content is not a mapping raise ``ConfigError``.
    """
    path = Path(path)
    if "\0" in str(path):
        raise ConfigError("base" if below else "", f"{shown(str(path))} is no name of a file")
    if path.resolve() in below:
        raise ConfigError("base", f"'{path}' includes itself through {' -> '.join(p.name for p in below)}")
    if len(below) >= DEEPEST:
        raise ConfigError("base", f"'{path}' is more than {DEEPEST} base files deep")
    content = _read_mapping(path)
    bases = content.pop("base", None) or []
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise ConfigError("base", f"'{path}': expected a file or a list of files, got {shown(bases)}")
    merged: dict[str, Any] = {}
    for base in bases:
        merged = merge(merged, read_file(path.parent / base, (*below, path.resolve())))
    return merge(merged, content)


def _read_mapping(path: Path) -> dict[str, Any]:
    """Read one file that holds a mapping of names."""
    try:
        if not path.is_file():
            siblings = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
            raise ConfigError(
                "", f"configuration file '{path}' does not exist. {suggest(path.name, siblings)}"
            )
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError("", f"'{path}' is not valid YAML: {one_line(error)}") from None
    except OSError as error:
        raise ConfigError("", f"cannot read {shown(str(path))}: {one_line(error)}") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError("", f"'{path}' must hold a mapping of option names to values")
    return content
