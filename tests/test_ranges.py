"""Ranges of numeric options: their arithmetic, their messages, and that no number goes without one."""

import copy
import dataclasses
import inspect
import math
import pickle
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import pytest

from benchmarks.extreme_numbers import EXTREMES, Option, options
from sevenfold.config import ConfigError, validate
from sevenfold.deq import Anderson
from sevenfold.nas import NB201, LocalSearch, RandomSearch
from sevenfold.ranges import (
    AnyFloat,
    Checked,
    Count,
    Limit,
    NonNegative,
    OpenShare,
    Positive,
    Range,
    Share,
    ShareBelowOne,
    violations,
)

OPTIONS = options()
OWN = [option for option in OPTIONS if option.own]


@dataclasses.dataclass(frozen=True)
class Group:
    rate: Positive = 1.0
    betas: tuple[ShareBelowOne, ShareBelowOne] = (0.9, 0.99)


def part(
    *,
    width: Count = 1,
    plain: float = 0.0,
    free: AnyFloat = 0.0,
    limit: Limit = math.inf,
    group: Group = Group(),
    maybe: Share | None = None,
    many: list[NonNegative] = [],  # noqa: B006
    named: dict[str, Count] = {},  # noqa: B006
    angle: Annotated[float, Range(-90, 90, open="low")] = 0.0,
    unknown: Any = None,
) -> dict[str, Any]:
    """Take options of every shape."""
    return locals()


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "text"),
    [
        (Range(0, 1), [0, 0.5, 1], [-1e-9, 1.1, math.nan, math.inf], "a number from 0 to 1"),
        (Range(0, 1, open=True), [0.5], [0, 1], "a number above 0 and below 1"),
        (Range(0, 1, open="low"), [1, 1e-9], [0, 1.1], "a number above 0 and at most 1"),
        (Range(0, 1, open="high"), [0], [1], "a number at least 0 and below 1"),
        (Range(0), [0, 1e300], [-1, math.inf], "a finite number at least 0"),
        (Range(0, open=True, infinite=True), [math.inf, 1], [0, -math.inf, math.nan], "a number above 0"),
        (Range(), [-1e300, 0], [math.inf, math.nan], "a finite number"),
        (Range(infinite=True), [math.inf, -math.inf], [math.nan], "a number"),
    ],
)
def test_a_range_holds_what_lies_between_its_bounds(
    bounds: Range, inside: list[float], outside: list[float], text: str
) -> None:
    assert all(number in bounds for number in inside) and not any(number in bounds for number in outside)
    assert str(bounds) == text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": 0}, "p.width: expected a number from 1 to 1000000000, got 0"),
        ({"plain": "nan"}, "p.plain: expected a finite number, got nan"),
        ({"plain": math.inf}, "p.plain: expected a finite number, got inf"),
        ({"free": math.nan}, "p.free: expected a number, got nan"),
        ({"limit": 0}, "p.limit: expected a number above 0, got 0.0"),
        ({"group": {"rate": -1}}, "p.group.rate: expected a finite number above 0, got -1.0"),
        (
            {"group": {"betas": [0.9, 1]}},
            "p.group.betas[1]: expected a number at least 0 and below 1, got 1.0",
        ),
        ({"maybe": 2}, "p.maybe: expected a number from 0 to 1, got 2.0"),
        ({"many": [0, -1]}, "p.many[1]: expected a finite number at least 0, got -1.0"),
        ({"named": {"a": 0}}, "p.named.a: expected a number from 1"),
        ({"angle": -90}, "p.angle: expected a number above -90 and at most 90, got -90.0"),
        ({"unknown": math.nan}, "p.unknown: expected a finite number, got nan"),
        ({"width": 10**400}, "p.width: expected a number from 1"),
        ({"plain": 10**400}, "p.plain: "),
    ],
)
def test_a_number_out_of_range_is_named_with_its_whole_key(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(part, given, "p")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_numbers_within_their_ranges_arrive_unchanged() -> None:
    given = {
        "width": 3,
        "free": math.inf,
        "group": {"rate": 2, "betas": [0, 0.5]},
        "maybe": None,
        "many": [0],
    }
    assert validate(part, given, "p") == {
        "width": 3,
        "free": math.inf,
        "group": Group(2.0, (0.0, 0.5)),
        "maybe": None,
        "many": [0.0],
    }
    assert not list(violations(OpenShare | None, None, "p"))


def name(option: Option) -> str:
    return f"{option.table}.{option.entry}.{option.key}"


@pytest.mark.parametrize("option", OWN, ids=name)
def test_every_numeric_option_has_a_range_that_refuses_nan(option: Option) -> None:
    assert option.ranges, "annotate it: sevenfold.ranges has names, Finite for a number without bounds"
    assert not any(math.nan in bound for bound in option.ranges)


@pytest.mark.slow
def test_every_extreme_number_is_refused_or_has_a_reason() -> None:
    for option in OPTIONS:
        assert not option.decide(math.nan)[0], f"{name(option)} accepts NaN"
    for option in OWN:
        for number in EXTREMES.values():
            accepted, why = option.decide(number)
            assert why, f"{name(option)} accepts {number}: say why in the note of its range"
            assert accepted or "expected" in why or "could not be converted" in why, why


class Parent(Checked):
    def __init__(self, *, width: Count = 1, group: Group = Group()) -> None:
        self.width, self.group = width, group


class Child(Parent):
    def __init__(self, depth: Count = 1, **options: Any) -> None:
        super().__init__(**options)
        self.depth = depth


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Parent(width=0), "width: expected a number from 1"),
        (lambda: Parent(group=Group(rate=-1.0)), "group.rate: expected a finite number above 0, got -1.0"),
        (lambda: Parent(group=Group(betas=(0.5, 1.0))), "group.betas[1]: expected"),
        (lambda: Child(0), "depth: expected a number from 1"),
        (lambda: Anderson(memory=0), "memory: expected a number from 2"),
        (lambda: LocalSearch(NB201(), np.random.default_rng(0), num_init=0), "num_init: expected"),
    ],
)
def test_a_constructor_called_from_python_refuses_the_same_numbers(
    call: Callable[[], Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value).startswith(message)


def test_help_shows_the_constructor_of_a_checked_component() -> None:
    assert list(inspect.signature(Child).parameters) == ["depth", "options"]
    assert list(inspect.signature(Anderson).parameters)[:2] == ["memory", "beta"]
    assert inspect.signature(RandomSearch).parameters["sampling"].kind is inspect.Parameter.KEYWORD_ONLY


def test_a_checked_component_is_made_copied_and_pickled_as_any_other() -> None:
    child = copy.deepcopy(pickle.loads(pickle.dumps(Child(2, width=3))))
    assert (child.depth, child.width) == (2, 3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'heigth'"):
        Parent(heigth=1)  # type: ignore[call-arg]
