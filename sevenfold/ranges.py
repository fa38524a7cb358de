"""Ranges of numeric options, written into annotations: ``Annotated[float, Range(0, None, open=True)]``.

``sevenfold.config`` compares every option with the ranges of its annotation before anything is built, so an
option that is out of range is refused by name and its component never sees it. A number without a range must
be finite.
"""

import dataclasses
import functools
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from sevenfold.errors import ConfigError, shown
from sevenfold.tables import mark_of

MOST = 1_000_000_000
LARGEST = 1_000_000


@dataclasses.dataclass(frozen=True)
class Range:
    """An interval of numbers; NaN lies in none.

    Args:
        low: the lower bound; None for no bound.
        high: the upper bound; None for no bound.
        open: leave out both bounds (True), or only the one named.
        infinite: let an infinity pass where there is no bound.
        note: why the ends of the range are meaningful values.
    """

    low: float | None = None
    high: float | None = None
    open: bool | Literal["low", "high"] = False
    infinite: bool = False
    note: str = ""

    def __contains__(self, value: float) -> bool:
        """Tell whether a number lies in the range."""
        if value != value or (abs(value) == math.inf and not self.infinite):
            return False
        below = self.low is not None and (value <= self.low if self.open_at("low") else value < self.low)
        above = self.high is not None and (value >= self.high if self.open_at("high") else value > self.high)
        return not below and not above

    def open_at(self, side: str) -> bool:
        """Tell whether the bound ``low`` or ``high`` itself is left out."""
        return self.open is True or self.open == side

    def __str__(self) -> str:
        """Describe the range for a message, such as 'a finite number above 0'."""
        if self.low is not None and self.high is not None and not self.open:
            return f"a number from {_text(self.low)} to {_text(self.high)}"
        above = self.low is not None and f"{'above' if self.open_at('low') else 'at least'} {_text(self.low)}"
        below = (
            self.high is not None and f"{'below' if self.open_at('high') else 'at most'} {_text(self.high)}"
        )
        bounds = " and ".join(bound for bound in (above, below) if bound)
        kind = (
            "a number"
            if self.infinite or (self.low is not None and self.high is not None)
            else "a finite number"
        )
        return f"{kind} {bounds}".strip()


FINITE = Range(note="a place, a shift or an angle: any real number is one")

Finite = Annotated[float, FINITE]
"""Any real number: a place, a shift or an angle, with no natural bound."""
Whole = Annotated[int, FINITE]
"""Any whole number: a value that only the user's own code gives a meaning."""
AnyFloat = Annotated[float, Range(infinite=True, note="infinities are meant too")]
"""Any number, infinities included."""
Positive = Annotated[float, Range(0, None, open=True, note="a ratio or tolerance has no largest value")]
"""Above 0."""
NonNegative = Annotated[float, Range(0, note="0 turns it off; a weight or tolerance has no largest value")]
"""0 (which turns a term off) or above."""
Limit = Annotated[float, Range(0, None, open=True, infinite=True, note="infinity lifts the limit")]
"""A limit that infinity lifts."""
Growth = Annotated[float, Range(1, None, open=True, infinite=True, note="infinity allows any growth")]
"""A factor above 1 by which something may grow; infinity allows any growth."""
Share = Annotated[float, Range(0, 1, note="none of it")]
"""From 0 to 1."""
OpenShare = Annotated[float, Range(0, 1, open=True)]
"""Strictly between 0 and 1."""
PositiveShare = Annotated[float, Range(0, 1, open="low")]
"""Above 0, at most 1."""
ShareBelowOne = Annotated[float, Range(0, 1, open="high", note="0 turns it off")]
"""At least 0, below 1: momenta, dropouts, decays."""
Percent = Annotated[float, Range(0, 100, note="0 %")]
"""From 0 to 100."""
LearningRate = Annotated[float, Range(0, 1000, open="low")]
"""A step size of an optimizer."""
Scale = Annotated[float, Range(0, LARGEST, open="low")]
"""A length, width or frequency: not zero, and within the reach of float32 when squared."""

Count = Annotated[int, Range(1, MOST)]
"""How many there are: 1 or more."""
NonNegativeInt = Annotated[int, Range(0, MOST, note="none, or the first")]
"""How many there are, or which one: 0 or more."""
AtLeastTwo = Annotated[int, Range(2, MOST)]
"""How many there are: 2 or more."""
Size = Annotated[int, Range(1, LARGEST)]
"""The length of one axis of a tensor: pixels, channels, units."""
Resolution = Annotated[int, Range(2, 1024)]
"""The number of nodes along one side of a grid in three dimensions."""
Depth = Annotated[int, Range(1, 10_000)]
"""A number of layers, levels or parallel workers, each of which takes memory of its own."""
DepthOrNone = Annotated[int, Range(0, 10_000, note="none")]
"""A number of layers or workers that may be zero."""
Seed = Annotated[int, Range(0, 2**63 - 1, note="every number names a stream")]
"""A seed, or the number of a random stream."""


def violations(annotation: Any, value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield ``(full key, message)`` for every number in ``value`` that lies outside its annotated range.

    Lists, tuples, mappings, optional values and option groups (dataclasses, given as mappings or as
    instances) are searched by their annotations.
    """
    if mark_of(annotation) is not None and isinstance(value, Mapping) and "name" in value:
        return  # the component that it names has ranges of its own
    bounds = tuple(m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, Range))
    if hasattr(annotation, "__metadata__"):
        annotation = typing.get_args(annotation)[0]
    if isinstance(value, int | float) and not isinstance(value, bool):
        options = bounds or _choices(annotation, value)
        if not any(value in bound for bound in options):
            yield key, f"expected {' or '.join(map(str, options))}, got {shown(value)}"
    elif isinstance(value, Mapping | list) and _single(annotation):
        yield key, f"expected a single value, got {shown(value)}"
    else:
        for part, inner, place in inside(annotation, value):
            yield from violations(part, inner, f"{key}{place}")


class Checked:
    """Base of components whose constructor refuses a number out of range, also where Python calls it.

    >>> class Scaled(Checked):
    ...     def __init__(self, *, factor: Positive = 1.0) -> None:
    ...         self.factor = factor
    >>> Scaled(factor=-1.0)
    Traceback (most recent call last):
    sevenfold.errors.ConfigError: factor: expected a finite number above 0, got -1.0
    """

    _created_by_object: bool = True

    def __init_subclass__(cls, **options: Any) -> None:
        """Show the constructor's own signature to ``help`` and editors, not that of ``__new__``."""
        super().__init_subclass__(**options)
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        after = cls.__mro__[cls.__mro__.index(Checked) + 1 :]
        # Decided here and not in __new__, where compilers do not see it.
        cls._created_by_object = next(base for base in after if "__new__" in vars(base)) is object

    def __new__(cls, *values: Any, **options: Any) -> Self:
        """Compare the arguments with the ranges of the constructor's annotations."""
        check_arguments(cls.__init__, (None, *values), options)
        if cls._created_by_object:
            return object.__new__(cls)
        return super().__new__(cls, *values, **options)


def check_arguments(
    function: Callable[..., Any], values: tuple[Any, ...], options: Mapping[str, Any]
) -> None:
    """Raise ``ConfigError`` for the first number among a call's arguments that lies outside its range."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.compiler.is_compiling():  # which would trace the checks
        return
    hints = _ranged(function)
    if not hints:
        return
    try:
        arguments = inspect.signature(function).bind_partial(*values, **options).arguments
    except TypeError:  # the call itself will say what is wrong
        return
    for name, value in arguments.items():
        if name in hints and (problem := next(violations(hints[name], value, name), None)):
            raise ConfigError(*problem)


@functools.cache
def _ranged(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function's arguments that hold a range."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # a name imported for type checkers only; a method of object
        return {}
    return {name: hint for name, hint in hints.items() if any(bounds for _, _, bounds in numbers(hint, name))}


def _single(annotation: Any) -> bool:
    """Tell whether an annotation holds no list or mapping; inside mappings OmegaConf does not ask."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return all(map(_single, typing.get_args(annotation)))
    if hasattr(annotation, "__metadata__"):
        return _single(typing.get_args(annotation)[0])
    return annotation in (int, float, str, bool, type(None))


def _text(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _choices(annotation: Any, value: float) -> list[Range]:
    """Return the ranges of every member of a union that can hold the number; a bare number is finite."""
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return [FINITE]
    members = [member for member in typing.get_args(annotation) if member is not type(None)]
    ranges = [m for member in members for m in getattr(member, "__metadata__", ()) if isinstance(m, Range)]
    return ranges or [FINITE]


def inside(annotation: Any, value: Any) -> Iterator[tuple[Any, Any, str]]:
    """Yield (annotation, value, key below) of everything directly inside a container."""
    if hasattr(annotation, "__metadata__"):
        annotation = typing.get_args(annotation)[0]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        for member in arguments:
            yield from inside(member, value)
    elif dataclasses.is_dataclass(annotation) and isinstance(value, annotation):  # type: ignore[arg-type]
        hints = typing.get_type_hints(annotation, include_extras=True)
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        yield from ((hints[name], inner, f".{name}") for name, inner in fields.items())
    elif dataclasses.is_dataclass(annotation) and isinstance(value, Mapping):
        hints = typing.get_type_hints(annotation, include_extras=True)
        yield from ((hints[name], inner, f".{name}") for name, inner in value.items() if name in hints)
    elif origin is dict and isinstance(value, Mapping):
        yield from ((arguments[1], inner, f".{name}") for name, inner in value.items())
    elif origin in (list, tuple) and isinstance(value, list | tuple):
        each = [*arguments, *[arguments[-1]] * len(value)] if arguments[-1] is not Ellipsis else None
        for index, inner in enumerate(value):
            yield (each[index] if each and origin is tuple else arguments[0]), inner, f"[{index}]"


def numbers(
    annotation: Any, key: str, bounds: tuple[Range, ...] = ()
) -> Iterator[tuple[str, type, tuple[Range, ...]]]:
    """Yield (key, int or float, ranges) for every number an annotation can hold; free ones have no range.

    An element of a list, tuple or mapping has the key of its container with ``[]``.
    """
    bounds += tuple(m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, Range))
    if hasattr(annotation, "__metadata__"):
        yield from numbers(typing.get_args(annotation)[0], key, bounds)
    elif annotation in (int, float):
        yield key, annotation, bounds
    elif isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        for name, hint in typing.get_type_hints(annotation, include_extras=True).items():
            yield from numbers(hint, f"{key}.{name}", bounds)
    elif (origin := typing.get_origin(annotation)) not in (Literal, Callable):
        below = f"{key}[]" if origin in (list, tuple, dict) else key
        arguments = typing.get_args(annotation)
        for argument in dict.fromkeys(arguments[1:] if origin is dict else arguments):
            yield from numbers(argument, below, bounds)
