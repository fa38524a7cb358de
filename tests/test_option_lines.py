"""Every option of every component has a line in its docstring, and every component option names its table."""

import dataclasses
import importlib
import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sevenfold.config import RunConfig, schema
from sevenfold.docstrings import headline, option_lines
from sevenfold.ranges import inside
from sevenfold.tables import TABLES, ComponentTable, locate, mark_of

FOREIGN = ("pytorch_lightning", "torch")


def groups(annotation: Any) -> Iterator[type]:
    """Yield the option groups (dataclasses) inside an annotation."""
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from groups(argument)


def documented() -> dict[str, tuple[Callable[..., Any], tuple[str, ...]]]:
    """Return every component and option group by its place, with the arguments that are no options."""
    found: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {"run": (RunConfig, ())}
    for name, reference in TABLES.items():
        table = locate(reference)
        assert isinstance(table, ComponentTable), reference
        for entry, target in table.items():
            if not target.startswith(FOREIGN):
                found[f"{name}={entry}"] = locate(target), table.given
    waiting = list(found.values())
    while waiting:
        target, given = waiting.pop()
        for option, field in schema(target).items():
            for group in groups(field.annotation):
                place = f"{group.__module__}:{group.__qualname__}"
                if option not in given and place not in found:
                    found[place] = group, ()
                    waiting.append(found[place])
    return found


DOCUMENTED = documented()


@pytest.mark.parametrize("place", DOCUMENTED)
def test_every_option_has_a_line(place: str) -> None:
    target, given = DOCUMENTED[place]
    lines = option_lines(target)
    missing = [option for option in schema(target) if option not in given and not lines.get(option)]
    file = f"{target.__module__}:{getattr(target, '__qualname__', '')}"
    assert not missing, f"{file}: its docstring has no line under 'Args:' for {', '.join(missing)}"
    assert headline(target), f"{file} has no first line"


@pytest.mark.parametrize("place", DOCUMENTED)
def test_no_option_documents_what_does_not_exist(place: str) -> None:
    target, given = DOCUMENTED[place]
    own = importlib.import_module(target.__module__).__name__.split(".")[0] not in FOREIGN
    extra = set(option_lines(target)) - set(schema(target)) - set(given)
    if inspect.isclass(target) and own:
        extra -= {name for base in inspect.getmro(target)[1:] for name in option_lines(base)}
    assert not extra, f"{target.__module__}: documents {', '.join(sorted(extra))}, which are no options"


@pytest.mark.parametrize("place", DOCUMENTED)
def test_every_option_that_takes_a_component_names_its_table(place: str) -> None:
    target, given = DOCUMENTED[place]
    # Ray reads the first; the others have languages of their own (sevenfold.nas.spaces.declared,
    # sevenfold.fairness.levels).
    exempt = {*given, "runtime_env", "parameters", "protected", "groups"}
    free = [
        name for name, field in schema(target).items() if name not in exempt and unmarked(field.annotation)
    ]
    if target is RunConfig:
        free = []
    assert not free, f"{target.__module__}: annotate {', '.join(free)} with OneOf or OptionsOf"


def unmarked(annotation: Any) -> bool:
    """Tell whether an annotation holds a bare mapping of anything, which is how nodes are written."""
    if mark_of(annotation) is not None:
        return False
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is dict and arguments[1] is Any:
        return True
    return any(unmarked(argument) for argument in arguments)


def test_inside_looks_through_marks() -> None:
    marked = typing.Annotated[dict[str, int], "a note"]
    assert list(inside(marked, {"a": 1})) == [(int, 1, ".a")]
