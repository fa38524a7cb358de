"""The kinds of parameter of a typed space: choices, numbers on a grid, and cells of another space."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.errors import InputError, shown
from sevenfold.nas.spaces.base import Enumerable, Ints, Part, Space

STRIDES = (0.2, 0.05)
"""Standard deviations of a mutation of a number, in units of its range, each with probability 1/2."""
REACH = (1 / 4, 1 / 16, 1 / 64)
"""Distances of the neighbors of a number on a grid, in units of its range."""


class Parameter(ABC):
    """One entry of a typed space, coded by ``columns`` integers of a row; every operation takes many rows."""

    columns: int = 1
    count: int | None
    """How many values there are; None where that is not known."""
    middle: NDArray[np.int32]
    """The codes (columns,) that a parameter takes when it becomes active in a neighbor."""

    @abstractmethod
    def draw(self, rng: Generator, n: int) -> NDArray[np.int32]:
        """Return random codes, (n, columns)."""

    @abstractmethod
    def change(self, codes: Ints, rng: Generator) -> Ints:
        """Return the codes of a mutant of each row, (n, columns)."""

    @abstractmethod
    def near(self, codes: Ints) -> Ints:
        """Return the codes of all neighbors of one value, (m, columns)."""

    @abstractmethod
    def parts(self, codes: Ints, active: NDArray[np.bool_] | None) -> list[Part]:
        """Return the coordinates of the adjacency encoding; ``active`` (n,) is None where always active."""

    @abstractmethod
    def keys(self, codes: Ints) -> NDArray[np.int64]:
        """Name each value by a number, (n,), below ``count`` where that is known."""

    @abstractmethod
    def valid(self, codes: Ints) -> NDArray[np.bool_]:
        """Return which rows are codes of a value, (n,)."""

    @abstractmethod
    def write(self, codes: Ints) -> Any:
        """Return the value of one row of codes."""

    @abstractmethod
    def read(self, value: Any) -> Ints:
        """Return the codes (columns,) of a value; ``InputError`` says what was expected."""

    def from_parts(self, values: Sequence[Ints]) -> Ints:
        """Return the codes (n, columns) of the values of ``parts``."""
        return np.asarray(values[0])


class Choice(Parameter):
    """One of several values without an order."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.values, self.count = list(values), len(values)
        self.middle = np.array([len(values) // 2], np.int32)

    def draw(self, rng: Generator, n: int) -> NDArray[np.int32]:
        """Draw uniformly."""
        return rng.integers(len(self.values), size=(n, 1), dtype=np.int32)

    def change(self, codes: Ints, rng: Generator) -> Ints:
        """Draw uniformly among the other values."""
        return (codes + rng.integers(1, len(self.values), size=codes.shape)) % len(self.values)

    def near(self, codes: Ints) -> Ints:
        """Return every other value."""
        others = np.arange(len(self.values), dtype=np.int32)
        return others[others != codes[0]][:, None]

    def parts(self, codes: Ints, active: NDArray[np.bool_] | None) -> list[Part]:
        """Return the code."""
        return [Part(codes, len(self.values), active=active)]

    def keys(self, codes: Ints) -> NDArray[np.int64]:
        """Return the codes."""
        return codes[:, 0].astype(np.int64)

    def valid(self, codes: Ints) -> NDArray[np.bool_]:
        """Return where a code stands for a value."""
        return (codes[:, 0] >= 0) & (codes[:, 0] < len(self.values))

    def write(self, codes: Ints) -> Any:
        """Return the value as it was declared."""
        return self.values[int(codes[0])]

    def read(self, value: Any) -> Ints:
        """Find a value."""
        for code, known in enumerate(self.values):
            if same(known, value):
                return np.array([code], np.int32)
        raise InputError(f"expected one of {shown(self.values)}, got {shown(value)}")


class Numbers(Choice):
    """Numbers in ascending order at places in [0, 1], linear or logarithmic in their value.

    ``places`` (values,) ascend from 0 to 1. ``adjacent``: neighbors are the next lower and higher value, as
    of an ordinal; otherwise those nearest to ``REACH`` away.
    """

    def __init__(
        self, values: Sequence[Any], places: NDArray[np.float64], *, adjacent: bool, exact: bool = True
    ) -> None:
        super().__init__(values)
        self.places, self.adjacent, self.exact = places, adjacent, exact
        self._borders = (places[1:] + places[:-1]) / 2
        # Every value owns what is nearest to it, the outer ones as much beyond the ends as within.
        gaps = np.diff(places) if len(places) > 1 else np.ones(1)
        self._ends = (-gaps[0] / 2, 1 + gaps[-1] / 2)
        self.middle = self.nearest(np.array([0.5]))

    def nearest(self, places: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return the code nearest to each place."""
        return np.searchsorted(self._borders, places).astype(np.int32)

    def draw(self, rng: Generator, n: int) -> NDArray[np.int32]:
        """Draw the place uniformly."""
        return self.nearest(rng.uniform(*self._ends, size=(n, 1)))

    def change(self, codes: Ints, rng: Generator) -> Ints:
        """Move the place by a normal step, reflected at the ends, and by one value at least."""
        size = np.where(rng.random(codes.shape) < 0.5, *STRIDES)
        step = size * rng.standard_normal(codes.shape)
        # u' = 1 - |1 - (u + s N(0, 1)) mod 2|: a normal step in [0, 1] with mirrors at both ends.
        moved = self.nearest(1 - np.abs(1 - (self.places[codes] + step) % 2))
        # Where the step was shorter than half the grid's: the next value, inwards at an end.
        other = codes + np.where(step < 0, -1, 1)
        other = np.where((other < 0) | (other >= len(self.values)), 2 * codes - other, other)
        return np.where(moved == codes, other, moved)

    def near(self, codes: Ints) -> Ints:
        """Return the next values of an ordinal, else those a quarter, a 16th and a 64th of the range away."""
        code, last = int(codes[0]), len(self.values) - 1
        reached = {code - 1, code + 1}
        if not self.adjacent:
            steps = np.array([sign * reach for reach in REACH for sign in (-1, 1)])
            ends = self.nearest((self.places[code] + steps).clip(0, 1))
            # One value at least in each direction where the grid is coarser than the step.
            reached = {
                int(c) if c != code else code + int(np.sign(s)) for c, s in zip(ends, steps, strict=True)
            }
        return np.array(sorted(c for c in reached if 0 <= c <= last), np.int32)[:, None]

    def parts(self, codes: Ints, active: NDArray[np.bool_] | None) -> list[Part]:
        """Return the code with the places of all codes."""
        return [Part(codes, len(self.values), active=active, places=self.places)]

    def read(self, value: Any) -> Ints:
        """Find a number; one between two values of a rounded grid is the nearest."""
        if self.exact:
            return super().read(value)
        low, high = self.values[0], self.values[-1]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise InputError(f"expected a number from {low} to {high}, got {shown(value)}")
        # Neighbors on the grid on both sides; the nearer one in the number's unit.
        right = int(np.searchsorted(np.array(self.values), value).clip(1, len(self.values) - 1))
        nearest = min((right - 1, right), key=lambda code: abs(self.values[code] - value))
        return np.array([nearest], np.int32)


def same(first: Any, second: Any) -> bool:
    """Tell whether two values are equal; True is not 1."""
    return bool(first == second and isinstance(first, bool) == isinstance(second, bool))


def ordinal(values: Sequence[Any]) -> Numbers:
    """Return values at equal distances, in the order given."""
    return Numbers(values, np.linspace(0, 1, len(values)), adjacent=True)


def real(low: float, high: float, steps: int, *, log: bool) -> Numbers:
    """Return a float on a grid of equal steps, of its logarithm with ``log``."""
    places = np.linspace(0, 1, steps + 1)
    grid = low * (high / low) ** places if log else low + (high - low) * places
    # Powers round: the ends are the declared numbers to the last digit.
    grid[[0, -1]] = low, high
    return Numbers([float(x) for x in grid], places, adjacent=False, exact=False)


def whole(low: int, high: int, steps: int, *, log: bool) -> Numbers:
    """Return all whole numbers of a range, or a rounded grid where they are more than ``steps``."""
    exact = high - low <= steps
    if exact:
        values = list(range(low, high + 1))
    else:
        values = sorted({round(value) for value in real(low, high, steps, log=log).values})
    numbers = np.array(values, float)
    places = np.log(numbers / low) / math.log(high / low) if log else (numbers - low) / (high - low)
    return Numbers(values, places, adjacent=False, exact=exact)


class Cell(Parameter):
    """An architecture of another space; its codes are that space's rows."""

    def __init__(self, space: Space) -> None:
        self.space, self.columns = space, space.width
        self.count = space.size if isinstance(space, Enumerable) else None
        self.middle = space.sample(np.random.default_rng(0), 1)[0].astype(np.int32)

    def draw(self, rng: Generator, n: int) -> NDArray[np.int32]:
        """Draw as the space does."""
        return self.space.sample(rng, n).astype(np.int32)

    def change(self, codes: Ints, rng: Generator) -> Ints:
        """Mutate as the space does first, at rate 1."""
        return self.space.mutate(codes, rng)

    def near(self, codes: Ints) -> Ints:
        """Return the space's neighbors."""
        return self.space.neighbors(codes)

    def parts(self, codes: Ints, active: NDArray[np.bool_] | None) -> list[Part]:
        """Return the space's coordinates; those of an inactive cell are 0 in every encoding."""
        if active is None:
            return self.space.parts(codes)
        parts = self.space.parts(self._filled(codes, active))
        return [
            part._replace(values=part.values * active[:, None], active=active, bare=True) for part in parts
        ]

    def keys(self, codes: Ints) -> NDArray[np.int64]:
        """Return the space's keys."""
        return self.space.keys(codes)

    def valid(self, codes: Ints) -> NDArray[np.bool_]:
        """Return which rows are architectures."""
        return self.space.is_valid(codes)

    def write(self, codes: Ints) -> list[int]:
        """Return the row."""
        row: list[int] = codes.tolist()
        return row

    def read(self, value: Any) -> Ints:
        """Read a row or a string of the space."""
        from sevenfold.nas.spaces.cells import as_cells  # it imports torch

        return as_cells(self.space, value, "a cell")[0].astype(np.int32)

    def from_parts(self, values: Sequence[Ints]) -> Ints:
        """Return the space's rows."""
        return self.space.from_parts(values)

    def path_bits(self, codes: Ints, active: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
        """Return the space's paths; an inactive cell has none."""
        if active is None:
            return self.space.path_bits(codes)
        return self.space.path_bits(self._filled(codes, active)) * active[:, None].astype(np.uint8)

    def _filled(self, codes: Ints, active: NDArray[np.bool_]) -> Ints:
        """Put an architecture where an inactive cell holds zeros, which need not be one."""
        return np.where(active[:, None], codes, self.middle)
