"""The space of a table that has no better one: the listed architectures and nothing else."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import Enumerable, Graph, Ints, Part, choose
from sevenfold.seeding import numpy_generator

NUMBERS, SPAN = 20, 1000
"""Different values above which a parameter is a number, and the ratio that makes it a logarithmic one."""


class Listed(Enumerable):
    """Rows of codes, each coordinate a choice among the codes that occur there; only listed rows are valid.

    Neighbors are the listed rows that differ in one coordinate. A mutation walks a Poisson number of steps
    (mean ``rate``) from neighbor to neighbor. The notation ``codes`` is the codes with commas, ``"3,0,1"``.

    With ``columns``, name and values of each coordinate's codes in their order, rows are written as
    ``"lr=0.1, opt=sgd"`` first, and encodings know the places of numbers.
    """

    size: int
    samplings = ("uniform",)
    mutations = ("walk",)
    neighborhoods = ("adj",)
    notations: tuple[str, ...] = ("codes",)

    def __init__(self, archs: Ints, columns: Sequence[tuple[str, Sequence[Any]]] = ()) -> None:
        self._archs = np.asarray(archs)
        if self._archs.ndim != 2 or not len(self._archs) or self._archs.dtype.kind not in "iu":
            raise InputError(
                f"a listed space needs integer rows of shape (n, width), got {self._archs.dtype} of shape "
                f"{self._archs.shape}"
            )
        self.size, self.width = self._archs.shape
        self.columns = [(name, tuple(known)) for name, known in columns]
        if self.columns:
            self.notations = ("values", "codes")
        self._places = [_places(known) for _, known in self.columns] or [None] * self.width
        # Codes below 0 are moved up in encodings; neighbors go through the codes that occur.
        self._lowest = np.minimum(self._archs.min(axis=0), 0).astype(int)
        self._levels = self._archs.max(axis=0).astype(int) + 1 - self._lowest
        # One random weight a coordinate makes a hash that adds up; equality is checked where it is used.
        generator = numpy_generator(0, "listed space")
        self._weights = generator.integers(1, 2**63, size=self.width, dtype=np.uint64)
        self._order = np.argsort(self._hash(self._archs), kind="stable")
        self._hashes = self._hash(self._archs)[self._order]
        if (same := np.flatnonzero(self._hashes[1:] == self._hashes[:-1])).size:
            row = self.to_strings(self._archs[self._order[same[:1]]])[0]
            raise InputError(f"architectures are listed twice, the first is {row}; remove {same.size} rows")

    def _hash(self, archs: Ints) -> NDArray[np.uint64]:
        return (archs.astype(np.uint64) * self._weights).sum(axis=1, dtype=np.uint64)

    def _find(self, archs: Ints) -> NDArray[np.int64]:
        """Return the number of each row, -1 where it is not listed."""
        places = np.searchsorted(self._hashes, self._hash(archs)).clip(max=self.size - 1)
        numbers = self._order[places]
        return np.where((self._archs[numbers] == archs).all(axis=1), numbers, -1)

    def sample(self, rng: Generator, n: int, *, method: str = "uniform") -> Ints:
        """Draw listed architectures, with repeats."""
        choose(method, self.samplings, "sampling")
        return self._archs[rng.integers(self.size, size=n)]

    def mutate(self, archs: Ints, rng: Generator, *, rate: float = 1.0, kind: str = "walk") -> Ints:
        """Return one child of each row; a row without neighbors is its own child."""
        choose(kind, self.mutations, "mutation")
        numbers, steps = self.index(archs), rng.poisson(rate, size=len(archs))
        table = self.neighbor_table()
        degrees = (table >= 0).sum(axis=1)
        for step in range(steps.max(initial=0)):
            # One uniform number scaled by each row's degree draws among its neighbors, for all rows at once.
            pick = table[numbers, (rng.random(len(numbers)) * degrees[numbers]).astype(int)]
            numbers = np.where((step < steps) & (degrees[numbers] > 0), pick, numbers)
        return self._archs[numbers]

    def neighbors(self, arch: ArrayLike, *, kind: str = "adj") -> Ints:
        """Return the listed rows that differ in one coordinate."""
        choose(kind, self.neighborhoods, "neighborhood")
        row = self.checked(np.atleast_2d(arch))
        self.index(row)
        return self._archs[(self._archs != row).sum(axis=1) == 1]

    def keys(self, archs: Ints) -> NDArray[np.int64]:
        """Return the number of each row, -1 where it is not listed."""
        return self._find(self.checked(archs))

    def is_valid(self, archs: Ints) -> NDArray[np.bool_]:
        """Return which rows are listed."""
        return self.keys(archs) >= 0

    def index(self, archs: Ints) -> NDArray[np.int64]:
        """Return the number of each row; ``InputError`` names the first that is not listed."""
        numbers = self.keys(archs)
        if (absent := np.flatnonzero(numbers < 0)).size:
            raise InputError(
                f"{absent.size} of {len(numbers)} architectures are not among the {self.size} listed, the "
                f"first is {self.to_strings(archs[absent[:1]])[0]}"
            )
        return numbers

    def archs(self, indices: ArrayLike) -> Ints:
        """Return the rows with these numbers."""
        numbers = np.asarray(indices)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= self.size):
            raise InputError(f"rows are 0..{self.size - 1}, asked for {numbers.min()}..{numbers.max()}")
        return self._archs[numbers]

    def neighbor_table(self) -> NDArray[np.int32]:
        """Return the numbers of all neighbors, padded with -1."""
        return self._neighbors

    @cached_property
    def _neighbors(self) -> NDArray[np.int32]:
        columns = []
        for place in range(self.width):
            for code in np.unique(self._archs[:, place]):
                changed = self._archs.copy()
                changed[:, place] = code
                places = self._find(changed)
                # A row is not its own neighbor.
                columns.append(np.where(places == np.arange(self.size), -1, places))
        # Descending, so that the padding of -1 comes last and can be cut off.
        table = -np.sort(-np.stack(columns, axis=1), axis=1)
        return table[:, : max(1, (table >= 0).sum(axis=1).max())].astype(np.int32)

    def to_strings(self, archs: Ints, *, notation: str | None = None) -> list[str]:
        """Write the values by name, or the codes with commas; None: the first of ``notations``."""
        notation = self.notations[0] if notation is None else notation
        if choose(notation, self.notations, "notation") == "values":
            return [
                ", ".join(
                    f"{name}={known[code]}" for (name, known), code in zip(self.columns, row, strict=True)
                )
                for row in self.checked(archs).tolist()
            ]
        return [",".join(map(str, row)) for row in self.checked(archs).tolist()]

    def from_strings(self, strings: Iterable[str], *, notation: str | None = None) -> Ints:
        """Read rows; every one must be listed."""
        notation = self.notations[0] if notation is None else notation
        if choose(notation, self.notations, "notation") == "values":
            strings = list(strings)
            known = dict(zip(self.to_strings(self._archs), range(self.size), strict=True))
            if unknown := [text for text in strings if text not in known]:
                raise InputError(f"{unknown[0]!r} is not listed; expected such as {next(iter(known))!r}")
            return self._archs[[known[text] for text in strings]]
        rows = []
        for text in strings:
            try:
                rows.append([int(code) for code in text.split(",")])
            except ValueError:
                raise InputError(f"{text!r} is no row; expected {self.width} codes such as 3,0,1") from None
            if len(rows[-1]) != self.width:
                raise InputError(f"{text!r} is no row; expected {self.width} codes, got {len(rows[-1])}")
        archs = np.array(rows, np.int64).reshape(-1, self.width)
        self.index(archs)
        return archs.astype(self._archs.dtype)

    def parts(self, archs: Ints) -> list[Part]:
        """Return one code for each coordinate."""
        archs = self.checked(archs)
        codes = archs - self._lowest if self._lowest.any() else archs
        return [
            Part(codes[:, i : i + 1], int(levels), places=places)
            for i, (levels, places) in enumerate(zip(self._levels, self._places, strict=True))
        ]

    def from_parts(self, values: Sequence[Ints]) -> Ints:
        """Return the rows with these codes."""
        archs = np.concatenate([np.asarray(value) for value in values], axis=1)
        return archs + self._lowest if self._lowest.any() else archs

    def graph(self, archs: Ints) -> Graph:
        """Refuse: a list of codes says nothing about a graph."""
        raise InputError("a listed space has no graphs; use an adjacency encoding")


def _places(known: Sequence[Any]) -> NDArray[np.float64] | None:
    """Return the places in [0, 1] of the values of a parameter; None for text and single values.

    Few numbers are ordinals; many lie on a scale, a logarithmic one where they span a factor of 1,000.
    """
    if len(known) < 2 or isinstance(known[0], str):
        return None
    values = np.asarray(known, float)
    if len(values) <= NUMBERS:
        return np.linspace(0.0, 1.0, len(values))
    if values[0] > 0 and values[-1] / values[0] >= SPAN:
        values = np.log(values)
    return (values - values[0]) / (values[-1] - values[0])
