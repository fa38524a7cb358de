"""Criteria of fairness as expressions of rates by group, of any number of groups.

``gap(r)`` is the largest difference of a rate between groups, ``ratio(r)`` least over largest, ``worst(r)``
and ``best(r)`` the least and the largest, ``difference(r)`` a signed difference of two groups, ``loss(r)``
the largest fall below the base network; ``max``, ``mean`` and ``abs`` combine them.
"""

import ast
import functools
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sevenfold.errors import InputError, suggest
from sevenfold.fairness.confusion import BINARY, Confusion, rate_masks

Linear = list[tuple[float, str, int]]
"""A sum of rates: coefficient, rate and group of each term."""
PRESETS = {
    "spd": "difference(selection)",
    "eod": "difference(tpr)",
    "aod": "mean(difference(fpr), difference(tpr))",
    "aaod": "mean(gap(fpr), gap(tpr))",
    "eqodds": "max(gap(fpr), gap(tpr))",
    "demographic_parity": "gap(selection)",
    "equal_opportunity": "gap(tpr)",
    "equalized_odds": "max(gap(fpr), gap(tpr))",
    "predictive_parity": "gap(ppv)",
    "error_parity": "gap(error)",
    "four_fifths": "ratio(selection)",
}
"""Criteria by name. The signed ones are differences of two groups, the first less the privileged one."""


@dataclass(frozen=True)
class Expression(ABC):
    """A number that a :class:`Confusion` has: ``value(confusion)`` gives it for any number of tables."""

    signed = False

    @abstractmethod
    def value(self, confusion: Confusion, base: Confusion | None = None) -> Tensor:
        """Return the value, (...); NaN where it is undefined. ``base`` has the base network's decisions."""

    def parts(self, confusion: Confusion) -> list[Linear]:
        """Return sums of rates of which the value is the largest, or the only one."""
        raise InputError(f"'{self}' is no difference or gap of rates, which this needs")

    def rates(self) -> list[tuple[str, str | None]]:
        """Return the rates and families that it is made of."""
        return []


@dataclass(frozen=True)
class OfGroups(Expression):
    """A function of one rate over the groups of a family, or the least favorable over all families."""

    rate: str
    family: str | None = None

    def rates(self) -> list[tuple[str, str | None]]:
        """Return the rate and the family."""
        return [(self.rate, self.family)]

    def members(self, confusion: Confusion) -> list[list[int]]:
        """Return the groups of each family that can be judged."""
        return [confusion.judged(self.rate, family) for family in confusion.layout.family(self.family)]

    def _rates(self, confusion: Confusion) -> list[Tensor]:
        rate = confusion.rate(self.rate)
        return [rate[..., members] for members in self.members(confusion) if len(members) > 1]

    def _text(self, function: str) -> str:
        return f"{function}({self.rate}" + (f', "{self.family}")' if self.family else ")")


class Gap(OfGroups):
    """The largest difference of a rate between two groups."""

    def value(self, confusion: Confusion, base: Confusion | None = None) -> Tensor:
        """Return the largest less the least rate."""
        gaps = [spread(rate) for rate in self._rates(confusion)]
        return _extreme(gaps, torch.maximum, confusion)

    def parts(self, confusion: Confusion) -> list[Linear]:
        """Return the differences of all ordered pairs of groups."""
        pairs = [pair for family in self.members(confusion) for pair in itertools.permutations(family, 2)]
        return [[(1.0, self.rate, i), (-1.0, self.rate, j)] for i, j in pairs]

    def __str__(self) -> str:
        return self._text("gap")


class Ratio(OfGroups):
    """The least rate of a group over the largest."""

    def value(self, confusion: Confusion, base: Confusion | None = None) -> Tensor:
        """Return the least over the largest rate; 1 where nobody has a positive rate."""
        ratios = [
            torch.where(rate.amax(-1) == 0, rate.amax(-1) + 1, rate.amin(-1) / rate.amax(-1))
            for rate in self._rates(confusion)
        ]
        return _extreme(ratios, torch.minimum, confusion)

    def __str__(self) -> str:
        return self._text("ratio")


class Worst(OfGroups):
    """The least rate of a group."""

    def value(self, confusion: Confusion, base: Confusion | None = None) -> Tensor:
        """Return the least rate."""
        return _extreme([rate.amin(-1) for rate in self._rates(confusion)], torch.minimum, confusion)

    def __str__(self) -> str:
        return self._text("worst")


class Largest(OfGroups):
    """The largest rate of a group."""

    def value(self, confusion: Confusion, base: Confusion | None = None) -> Tensor:
        """Return the largest rate."""
        return _extreme([rate.amax(-1) for rate in self._rates(confusion)], torch.maximum, confusion)

    def __str__(self) -> str:
        return self._text("best")


class Loss(OfGroups):
    """The largest fall of a group's rate below that of the base network."""

    def value(self, confusion: Confusion, base: Confusion | None = None) -> Tensor:
        """Return the largest of the groups' falls, negative where all have risen."""
        if base is None:
            raise InputError(f"'{self}' compares with the base network, whose decisions are not given")
        before, after = base.rate(self.rate), confusion.rate(self.rate)
        groups = [g for family in self.members(confusion) for g in family]
        return (before[..., groups] - after[..., groups]).amax(-1) if groups else _nothing(confusion)

    def __str__(self) -> str:
        return self._text("loss")


@dataclass(frozen=True)
class Difference(Expression):
    """A group's rate less that of a reference group; without names, of the only two groups."""

    rate: str
    group: str | None = None
    reference: str | None = None
    signed = True

    def pair(self, confusion: Confusion) -> tuple[int, int]:
        """Return the positions of the two groups."""
        if self.group is not None and self.reference is not None:
            return confusion.layout.group(self.group), confusion.layout.group(self.reference)
        families = confusion.layout.family()
        if len(families) > 1 or len(families[0]) != 2:
            raise InputError(
                f"'{self}' is of two groups, and there are {len(confusion.layout.names)}: "
                f"{', '.join(confusion.layout.names[:6])}. Use gap({self.rate}), or name both: "
                f'difference({self.rate}, "group", "reference")'
            )
        return families[0][0], families[0][1]

    def value(self, confusion: Confusion, base: Confusion | None = None) -> Tensor:
        """Return the difference."""
        rate, (i, j) = confusion.rate(self.rate), self.pair(confusion)
        return rate[..., i] - rate[..., j]

    def parts(self, confusion: Confusion) -> list[Linear]:
        """Return the difference itself."""
        i, j = self.pair(confusion)
        return [[(1.0, self.rate, i), (-1.0, self.rate, j)]]

    def rates(self) -> list[tuple[str, str | None]]:
        """Return the rate."""
        return [(self.rate, None)]

    def __str__(self) -> str:
        names = "" if self.group is None else f', "{self.group}", "{self.reference}"'
        return f"difference({self.rate}{names})"


@dataclass(frozen=True)
class Combined(Expression):
    """A function of other expressions."""

    of: tuple[Expression, ...] = field(default=())

    def rates(self) -> list[tuple[str, str | None]]:
        """Return the rates of all of them."""
        return [rate for expression in self.of for rate in expression.rates()]


class Maximum(Combined):
    """The largest of some expressions."""

    def value(self, confusion: Confusion, base: Confusion | None = None) -> Tensor:
        """Return the largest value."""
        return functools.reduce(torch.maximum, [e.value(confusion, base) for e in self.of])

    def parts(self, confusion: Confusion) -> list[Linear]:
        """Return the parts of all of them."""
        return [part for e in self.of for part in e.parts(confusion)]

    def __str__(self) -> str:
        return f"max({', '.join(map(str, self.of))})"


class Mean(Combined):
    """The mean of some expressions."""

    @property
    def signed(self) -> bool:  # type: ignore[override]
        """Tell whether the value has a sign."""
        return all(e.signed for e in self.of)

    def value(self, confusion: Confusion, base: Confusion | None = None) -> Tensor:
        """Return the mean value."""
        return functools.reduce(torch.add, [e.value(confusion, base) for e in self.of]) / len(self.of)

    def parts(self, confusion: Confusion) -> list[Linear]:
        """Return the means of one part of each, in all combinations."""
        chosen = itertools.product(*(e.parts(confusion) for e in self.of))
        return [[(c / len(self.of), r, g) for part in parts for c, r, g in part] for parts in chosen]

    def __str__(self) -> str:
        return f"mean({', '.join(map(str, self.of))})"


class Absolute(Combined):
    """The absolute value of an expression."""

    def value(self, confusion: Confusion, base: Confusion | None = None) -> Tensor:
        """Return the absolute value."""
        return self.of[0].value(confusion, base).abs()

    def parts(self, confusion: Confusion) -> list[Linear]:
        """Return the expression and its negative."""
        parts = self.of[0].parts(confusion)
        return [*parts, *([(-c, r, g) for c, r, g in part] for part in parts)]

    def __str__(self) -> str:
        return f"abs({self.of[0]})"


def spread(rate: Tensor) -> Tensor:
    """Return the largest less the least along the last axis; NaN where one is NaN."""
    return rate.amax(-1) - rate.amin(-1)


def _nothing(confusion: Confusion) -> Tensor:
    """Return NaN for every table: nothing can be judged, so nothing is feasible."""
    return torch.full_like(confusion.overall("accuracy"), torch.nan)


def _extreme(
    values: Sequence[Tensor], which: Callable[[Tensor, Tensor], Tensor], confusion: Confusion
) -> Tensor:
    return functools.reduce(which, values) if values else _nothing(confusion)


FUNCTIONS: dict[str, type[OfGroups]] = {
    "gap": Gap,
    "ratio": Ratio,
    "worst": Worst,
    "best": Largest,
    "loss": Loss,
}
COMBINATIONS: dict[str, type[Combined]] = {"max": Maximum, "mean": Mean, "abs": Absolute}
WORDS = (*FUNCTIONS, *COMBINATIONS, "difference", *PRESETS)


@functools.lru_cache(maxsize=256)
def parse(text: str, classes: tuple[str, ...] = ()) -> Expression:
    """Return the expression that a text means; unknown words are named with the nearest known one.

    Args:
        text: such as ``max(gap(fpr), gap(tpr))``, or a name of ``PRESETS``.
        classes: names of classes, for ``recall["Low"]``.

    Example:
        >>> str(parse("eqodds"))
        'max(gap(fpr), gap(tpr))'
    """
    text = PRESETS.get(text.strip(), text)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise InputError(f"'{text}' is no expression; expected such as gap(selection)") from None
    return _build(tree, text, classes)


def _build(node: ast.expr, text: str, classes: tuple[str, ...]) -> Expression:
    if isinstance(node, ast.Name):
        if node.id in PRESETS:
            return parse(PRESETS[node.id], classes)
        raise InputError(f"'{node.id}' in '{text}' is no criterion. {suggest(node.id, WORDS)}")
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
        raise InputError(
            f"'{ast.unparse(node)}' in '{text}' is no criterion; expected such as gap(selection)"
        )
    name, arguments = node.func.id, node.args
    if name in COMBINATIONS:
        if not arguments or (name == "abs" and len(arguments) > 1):
            raise InputError(
                f"'{name}' in '{text}' needs {'one' if name == 'abs' else 'at least one'} criterion"
            )
        return COMBINATIONS[name](tuple(_build(argument, text, classes) for argument in arguments))
    if name not in FUNCTIONS and name != "difference":
        raise InputError(f"'{name}' in '{text}' is no criterion. {suggest(name, WORDS)}")
    most = 3 if name == "difference" else 2
    if not arguments or len(arguments) > most or (name == "difference" and len(arguments) == 2):
        raise InputError(
            f"'{ast.unparse(node)}': {name} takes a rate and "
            + ("no or two groups" if name == "difference" else "at most a family")
        )
    rate, names = _rate(arguments[0], text, classes), [_word(argument, text) for argument in arguments[1:]]
    return Difference(rate, *names) if name == "difference" else FUNCTIONS[name](rate, *names)


def _word(node: ast.expr, text: str) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise InputError(f"'{ast.unparse(node)}' in '{text}' must be a name in quotes")


def _rate(node: ast.expr, text: str, classes: tuple[str, ...]) -> str:
    if isinstance(node, ast.Name):
        rate_masks(node.id, 2)
        return node.id
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        index = node.slice
        which = index.value if isinstance(index, ast.Constant) else None
        if isinstance(which, str):
            if which not in classes:
                raise InputError(f"'{which}' in '{text}' is no class. {suggest(which, classes)}")
            which = classes.index(which)
        if isinstance(which, int):
            name = f"{node.value.id}[{which}]"
            rate_masks(name, max(2, which + 1))
            return name
    raise InputError(f"'{ast.unparse(node)}' in '{text}' is no rate. {suggest(ast.unparse(node), BINARY)}")
