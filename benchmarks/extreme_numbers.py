"""Every numeric option crossed with extreme numbers: what is refused, and why the rest is meaningful.

``python benchmarks/extreme_numbers.py [--accepted]`` prints one line per option and number: the table and its
entry, the option, the number, and the decision. Tables are read from the packages, so new entries join by
themselves; options of Lightning's own classes are checked for finite floats here and by their constructors.
"""

import importlib
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

from sevenfold.config import ConfigError, RunConfig, locate, schema, validate
from sevenfold.ranges import Range
from sevenfold.tables import ComponentTable

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("sevenfold", "lightning_modules", "datamodules", "callbacks")
WITH_TABLES = ("__init__.py", "layerwise.py")
EXTREMES = {"-1": -1, "0": 0, "nan": math.nan, "inf": math.inf, "1e12": 10**12}


@dataclass(frozen=True)
class Option:
    """One number that can be configured: where it stands, its type and ranges, and a value around it."""

    table: str
    entry: str
    target: Callable[..., Any]
    key: str
    kind: type
    ranges: tuple[Range, ...]
    around: Callable[[Any], Any]

    @property
    def own(self) -> bool:
        """Tell whether the component is the suite's own."""
        return inspect.getmodule(self.target).__name__.split(".")[0] in PACKAGES

    def decide(self, number: float) -> tuple[bool, str]:
        """Return whether the number is accepted, and the range that refuses it or the reason to take it."""
        name = self.key.split(".")[0].split("[")[0]
        given = number if self.kind is float or not float(number).is_integer() else int(number)
        try:
            validate(self.target, {name: self.around(given)}, "")
        except ConfigError as error:
            if "is required but missing" not in error.message:
                return False, error.message
        notes = [bound.note for bound in self.ranges if bound.note]
        return True, "; ".join(notes) if self.own else "judged by Lightning's constructor"


def tables() -> Iterator[tuple[str, str, str]]:
    """Yield (table, entry, reference) of every table "name -> module:attribute" of the packages."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name in WITH_TABLES:
                parts = path.relative_to(ROOT).with_suffix("").parts
                module = ".".join(parts[:-1] if path.name == "__init__.py" else parts)
                for name, value in list(vars(importlib.import_module(module)).items()):
                    if isinstance(value, ComponentTable):
                        yield from (
                            (f"{module}.{name}", entry, reference) for entry, reference in value.items()
                        )


def options() -> list[Option]:
    """Return every numeric option of every entry, and of the configuration itself, each target once."""
    found = [Option("", "run", RunConfig, *number) for number in _numbers(RunConfig)]
    targets = {RunConfig}
    for table, entry, reference in [*tables(), ("", "trainer", "pytorch_lightning:Trainer")]:
        target = locate(reference)
        if callable(target) and target not in targets:
            targets.add(target)
            found += [Option(table, entry, target, *number) for number in _numbers(target)]
    return found


def _numbers(
    target: Callable[..., Any],
) -> Iterator[tuple[str, type, tuple[Range, ...], Callable[[Any], Any]]]:
    for name, field in schema(target).items():
        yield from _places(field.annotation, name, (), lambda number: number)


def _places(
    annotation: Any, key: str, ranges: tuple[Range, ...], around: Callable[[Any], Any]
) -> Iterator[tuple[str, type, tuple[Range, ...], Callable[[Any], Any]]]:
    """Yield (key, type, ranges, how a number becomes the option's value) for each number in an annotation."""
    if hasattr(annotation, "__metadata__"):
        ranges += tuple(mark for mark in annotation.__metadata__ if isinstance(mark, Range))
        annotation = typing.get_args(annotation)[0]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (int, float):
        yield key, annotation, ranges, around
    elif isinstance(annotation, type) and is_dataclass(annotation):
        for name, hint in typing.get_type_hints(annotation, include_extras=True).items():
            yield from _places(hint, f"{key}.{name}", ranges, lambda n, name=name: around({name: n}))
    elif origin in (typing.Union, types.UnionType):
        for member in arguments:
            yield from _places(member, key, ranges, around)
    elif origin is dict:
        yield from _places(arguments[1], f"{key}[]", ranges, lambda n: around({"label": n}))
    elif origin is list:
        yield from _places(arguments[0], f"{key}[]", ranges, lambda n: around([n]))
    elif origin is tuple:
        size = 1 if arguments[-1] is Ellipsis else len(arguments)
        yield from _places(arguments[0], f"{key}[]", ranges, lambda n: around([n] * size))


def main() -> int:
    """Print the decisions; return 1 if a number of the suite's own options is accepted without a reason."""
    accepted = unexplained = total = 0
    for option in options():
        for text, number in EXTREMES.items():
            takes, why = option.decide(number)
            total, accepted = total + 1, accepted + takes
            unexplained += takes and not why
            if takes or "--accepted" not in sys.argv:
                place = f"{option.table.removeprefix('sevenfold.')}.{option.entry}"
                print(f"{place}  {option.key}={text}  {'accepted' if takes else 'refused'}: {why}")
    print(
        f"\n{total} numbers: {accepted} accepted, {total - accepted} refused, {unexplained} without a reason"
    )
    return int(unexplained > 0)


if __name__ == "__main__":
    sys.exit(main())
