"""Spaces of one's own: choices, numbers, cells and repeated blocks, some of them conditional."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from sevenfold.config import ConfigError
from sevenfold.errors import InputError, shown, suggest
from sevenfold.nas.encodings.adjacency import adj_onehot_parts
from sevenfold.nas.spaces.base import Graph, Ints, Part, Space, choose
from sevenfold.nas.spaces.declared import declare
from sevenfold.nas.spaces.parameters import Cell, Choice
from sevenfold.nas.spaces.rejection import change, until_valid
from sevenfold.ranges import Finite, Size, Whole

ATTEMPTS = 10_000
"""Random rows among which a space with forbidden combinations must have one that is allowed."""


class Typed(Space):
    """Parameters of several kinds; a row holds the code of each, 0 where one is inactive.

    Each parameter is written ``NAME: {KIND: ...}`` with one of these kinds:
    ``choice: [a, b]``, values without order; ``ordinal: [4, 8, 16]``, values in order; ``float: [low, high]``
    and ``int: [low, high]``, with ``log: true`` on a logarithmic scale; ``cell: nb201`` (or a mapping with
    options), an architecture of another space; ``repeat: [least, most], of: {...}``, that many blocks of
    parameters. ``when: {NAME: [values]}`` makes a parameter active only where earlier ones have these values.

    Mutation ``step`` changes each active parameter with probability min(1, rate / active), and one at least.
    Neighborhood ``adj`` changes one parameter. A parameter that becomes active is drawn anew in a mutation
    and takes its middle in a neighbor.

    Args:
        parameters: what each parameter is, by name.
        forbid: combinations of values that are no architecture, each a mapping from some names to values.
        steps: steps of the grid on which a float lies, and an int with more values than that.

    >>> import numpy as np
    >>> from sevenfold.nas import Typed
    >>> space = Typed({"opt": {"choice": ["sgd", "adam"]}, "lr": {"float": [1e-4, 1.0], "log": True},
    ...                "momentum": {"float": [0.0, 0.99], "when": {"opt": ["sgd"]}}})
    >>> row = space.row({"opt": "adam", "lr": 0.01})
    >>> space.values(row)
    {'opt': 'adam', 'lr': 0.01}
    """

    samplings = ("uniform",)
    mutations = ("step",)
    neighborhoods = ("adj",)
    notations = ("json",)

    def __init__(
        self,
        parameters: dict[str, dict[str, Any]],
        *,
        forbid: list[dict[str, bool | Whole | Finite | str]] = [],  # noqa: B006
        steps: Size = 1024,
    ) -> None:
        self.entries, self.layout = declare(parameters, steps)
        ends = np.cumsum([entry.parameter.columns for entry in self.entries]).tolist()
        self.width = ends[-1]
        starts = [0, *ends[:-1]]
        self._columns = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
        self._place = {entry.name: place for place, entry in enumerate(self.entries)}
        self._movable = np.array([entry.parameter.count != 1 for entry in self.entries])
        self._prepare_keys()
        self._prepare_paths()
        self._forbidden = [self._partial(item, f"forbid.{i}") for i, item in enumerate(forbid)]
        if forbid and self._forbids(self._draw(np.random.default_rng(0), ATTEMPTS)).all():
            raise ConfigError("forbid", f"leaves none of {ATTEMPTS} random architectures; forbid less")

    def _prepare_keys(self) -> None:
        """Choose the factors of each parameter's code in a key: exact where the product fits 63 bits."""
        counts = [entry.parameter.count for entry in self.entries]
        known = [count + bool(e.when) for count, e in zip(counts, self.entries, strict=True) if count]
        if len(known) == len(counts) and math.prod(known) < 2**63:
            self._factors = np.cumprod([1, *known[:-1]], dtype=np.uint64)
        else:
            # A random odd weight each makes a hash of 64 bits: of n rows two agree with chance n^2 / 2^65.
            drawn = np.random.default_rng(0).integers(2**62, size=len(counts), dtype=np.uint64)
            self._factors = 2 * drawn + 1

    def _prepare_paths(self) -> None:
        """Set the sizes of path encodings, which a space with cells has."""
        cells = [entry.parameter.space for entry in self.entries if isinstance(entry.parameter, Cell)]
        if self.has_paths:
            self.path_cutoff = min(cell.path_cutoff for cell in cells)
            self.path_slots = sum(cell.path_slots for cell in cells) + 2 * (len(self.entries) - len(cells))

    def values(self, row: ArrayLike) -> dict[str, Any]:
        """Return the values of the active parameters of one row, by name.

        A cell is its row and, under ``NAME_str``, its string; a repeat is a list of mappings.
        """
        archs = self._one(row)
        active = self._active(archs)[0]

        def write(names: Mapping[str, Any]) -> dict[str, Any]:
            result: dict[str, Any] = {}
            for name, place in names.items():
                if isinstance(place, tuple):
                    length, blocks = place
                    if active[length]:
                        count = self.entries[length].parameter.write(archs[0, self._columns[length]])
                        result[name] = [write(block) for block in blocks[:count]]
                elif active[place]:
                    parameter, codes = self.entries[place].parameter, archs[0, self._columns[place]]
                    result[name] = parameter.write(codes)
                    if isinstance(parameter, Cell):
                        result[f"{name}_str"] = parameter.space.to_strings(codes[None])[0]
            return result

        return write(self.layout)

    def row(self, values: Mapping[str, Any]) -> NDArray[np.int32]:
        """Return the row (width,) of what ``values`` returns; a float is rounded to its grid.

        ``InputError`` names a value that is missing, unknown, inactive or out of range.
        """
        row = np.zeros((1, self.width), np.int32)
        active = np.ones((1, len(self.entries)), bool)
        self._read(row, active, self.layout, values, "")
        if self._forbids(row).any():
            raise InputError(f"{shown(dict(values))} is a forbidden combination")
        return row[0]

    def _read(
        self,
        row: Ints,
        active: NDArray[np.bool_],
        names: Mapping[str, Any],
        values: Mapping[str, Any],
        before: str,
    ) -> None:
        """Fill a row (1, width), and which parameters are active, from values in the order of the names."""
        if not isinstance(values, Mapping):
            raise InputError(f"{before or 'an architecture'} is a mapping of values, got {shown(values)}")
        extra = [key for key in values if key not in names and str(key).removesuffix("_str") not in names]
        if extra:
            raise InputError(f"parameter '{before}{extra[0]}' is not known. {suggest(extra[0], names)}")
        for name, place in names.items():
            head, blocks = place if isinstance(place, tuple) else (place, [])
            value = values.get(name, values.get(f"{name}_str"))
            self._condition(row, active, head)
            if not active[0, head] and value is not None:
                raise InputError(f"parameter '{before}{name}' is inactive here; leave it out")
            if not active[0, head]:
                continue
            if value is None:
                raise InputError(f"parameter '{before}{name}' is missing")
            if blocks and not isinstance(value, list | tuple):
                raise InputError(f"parameter '{before}{name}': expected a list of blocks, got {shown(value)}")
            try:
                codes = self.entries[head].parameter.read(len(value) if blocks else value)
            except InputError as error:
                raise InputError(f"parameter '{before}{name}': {error}") from None
            row[0, self._columns[head]] = codes
            for number, block in enumerate(value if blocks else ()):
                self._read(row, active, blocks[number], block, f"{before}{name}.{number}.")

    def sample(self, rng: Generator, n: int, *, method: str = "uniform") -> Ints:
        """Draw every parameter independently, again where the combination is forbidden."""
        choose(method, self.samplings, "sampling")

        def draw(m: int) -> Ints:
            rows = self._draw(rng, m)
            return rows[~self._forbids(rows)]

        return until_valid(n, draw) if self._forbidden else self._draw(rng, n)

    def _draw(self, rng: Generator, n: int) -> Ints:
        rows = [entry.parameter.draw(rng, n) for entry in self.entries]
        return self._settled(np.concatenate(rows, axis=1))

    def mutate(self, archs: Ints, rng: Generator, *, rate: float = 1.0, kind: str = "step") -> Ints:
        """Return one child of each row, different unless a cell's mutation gives its parent back."""
        choose(kind, self.mutations, "mutation")
        parents = self.checked(archs).astype(np.int32)

        def propose(rows: Ints) -> tuple[Ints, NDArray[np.bool_]]:
            children = self._stepped(rows, rng, rate)
            return children, ~self._forbids(children)

        return change(parents, propose) if self._forbidden else self._stepped(parents, rng, rate)

    def _stepped(self, parents: Ints, rng: Generator, rate: float) -> Ints:
        was = self._active(parents)
        able = was & self._movable
        count = able.sum(axis=1, keepdims=True)
        # Each of m active parameters with probability min(1, rate / m); where none was chosen, one of them.
        moved = able & (rng.random(able.shape) < np.minimum(1, rate / np.maximum(count, 1)))
        idle = ~moved.any(axis=1) & able.any(axis=1)
        moved[idle, np.where(able, rng.random(able.shape), -1)[idle].argmax(axis=1)] = True
        # Parents of conditions are changed like any other; what follows from it is settled at the end.
        children = parents.copy()
        for place, (entry, columns) in enumerate(zip(self.entries, self._columns, strict=True)):
            if (rows := np.flatnonzero(moved[:, place])).size:
                children[rows, columns] = entry.parameter.change(children[rows, columns], rng)
        return self._settled(children, was, rng)

    def neighbors(self, arch: ArrayLike, *, kind: str = "adj") -> Ints:
        """Return the rows with one parameter changed, in order of the parameters."""
        choose(kind, self.neighborhoods, "neighborhood")
        center = self._one(arch)
        was = self._active(center)
        result = [center[:0]]
        for place, (entry, columns) in enumerate(zip(self.entries, self._columns, strict=True)):
            if was[0, place] and self._movable[place]:
                # A change of one value may switch others on or off; they are not counted as a step.
                codes = entry.parameter.near(center[0, columns])
                rows = np.repeat(center, len(codes), axis=0)
                rows[:, columns] = codes
                result.append(self._settled(rows, np.repeat(was, len(rows), axis=0)))
        archs = np.concatenate(result)
        return archs[~self._forbids(archs)]

    def keys(self, archs: Ints) -> NDArray[np.int64]:
        """Return a number for each row: exact below 2^63 rows, else a hash of 64 bits."""
        archs = self.checked(archs)
        active, keys = self._active(archs), np.zeros(len(archs), np.uint64)
        for place, (entry, columns) in enumerate(zip(self.entries, self._columns, strict=True)):
            rows = active[:, place]
            codes = np.zeros(len(archs), np.uint64)
            # Inactive is 0, so values of a conditional parameter begin at 1.
            codes[rows] = entry.parameter.keys(archs[rows, columns]).astype(np.uint64) + np.uint64(
                bool(entry.when)
            )
            keys += codes * self._factors[place]
        return keys.view(np.int64)

    def is_valid(self, archs: Ints) -> NDArray[np.bool_]:
        """Return where codes stand for values, inactive ones are 0 and the combination is allowed."""
        archs = self.checked(archs)
        active, valid = self._active(archs), np.ones(len(archs), bool)
        for place, (entry, columns) in enumerate(zip(self.entries, self._columns, strict=True)):
            codes, rows = archs[:, columns], active[:, place]
            valid[rows] &= entry.parameter.valid(codes[rows])
            valid[~rows] &= ~codes[~rows].any(axis=1)
        return valid & ~self._forbids(archs)

    def to_strings(self, archs: Ints, *, notation: str = "json") -> list[str]:
        """Write the values of each row as JSON."""
        choose(notation, self.notations, "notation")
        return [json.dumps(self.values(row)) for row in self.checked(archs)]

    def from_strings(self, strings: Iterable[str], *, notation: str = "json") -> Ints:
        """Read JSON objects of values."""
        choose(notation, self.notations, "notation")
        rows = []
        for text in strings:
            try:
                values = json.loads(text)
            except json.JSONDecodeError:
                values = None
            if not isinstance(values, dict):
                raise InputError(f"{shown(text)} is no JSON object of values")
            rows.append(self.row(values))
        return np.array(rows, np.int32).reshape(-1, self.width)

    def parts(self, archs: Ints) -> list[Part]:
        """Return the parts of each parameter in order."""
        archs = self.checked(archs)
        active = self._active(archs)
        return [
            part
            for place, (entry, columns) in enumerate(zip(self.entries, self._columns, strict=True))
            for part in entry.parameter.parts(archs[:, columns], active[:, place] if entry.when else None)
        ]

    def from_parts(self, values: Sequence[Ints]) -> Ints:
        """Return the rows with these values; what is inactive among them is dropped."""
        left, columns = list(values), []
        for entry in self.entries:
            count = len(entry.parameter.parts(entry.parameter.middle[None], None))
            columns.append(np.asarray(entry.parameter.from_parts(left[:count]), np.int32))
            left = left[count:]
        return self._settled(np.concatenate(columns, axis=1))

    def graph(self, archs: Ints) -> Graph:
        """Refuse: parameters are no graph."""
        raise InputError("a typed space has no graphs; use an adjacency encoding")

    @property
    def has_paths(self) -> bool:
        """Whether there are cells, and all of them have paths."""
        cells = [e.parameter.space for e in self.entries if isinstance(e.parameter, Cell)]
        return bool(cells) and all(cell.has_paths for cell in cells)

    def path_bits(self, archs: Ints) -> NDArray[Any]:
        """Return the paths of the cells, then the other parameters as in ``adj_onehot``."""
        return self._paths(archs, lambda cell, bits: bits)

    def trunc_path_bits(self, archs: Ints, cutoff: int | None) -> NDArray[Any]:
        """Return the short paths of the cells, then the other parameters as in ``adj_onehot``."""
        return self._paths(archs, lambda cell, bits: cell.truncated(bits, cutoff))

    def _paths(self, archs: Ints, cut: Any) -> NDArray[Any]:
        if not self.has_paths:
            return super().path_bits(archs)
        archs = self.checked(archs)
        active = self._active(archs)
        bits, rest = [], []
        for place, (entry, columns) in enumerate(zip(self.entries, self._columns, strict=True)):
            on = active[:, place] if entry.when else None
            if isinstance(entry.parameter, Cell):
                bits.append(cut(entry.parameter.space, entry.parameter.path_bits(archs[:, columns], on)))
            else:
                rest += entry.parameter.parts(archs[:, columns], on)
        return np.concatenate([*bits, *([adj_onehot_parts(rest)] if rest else [])], axis=1)

    def _one(self, row: ArrayLike) -> Ints:
        return self.checked(np.atleast_2d(row))[:1].astype(np.int32)

    def _active(self, archs: Ints) -> NDArray[np.bool_]:
        """Return which parameters count in each row, (n, parameters)."""
        active = np.ones((len(archs), len(self.entries)), bool)
        for place in range(len(self.entries)):
            self._condition(archs, active, place)
        return active

    def _condition(self, archs: Ints, active: NDArray[np.bool_], place: int) -> None:
        """Fill one column of ``active`` from those before it."""
        for parent, codes in self.entries[place].when:
            column = archs[:, self._columns[parent].start]
            active[:, place] &= active[:, parent] & np.isin(column, codes)

    def _settled(
        self, archs: Ints, was: NDArray[np.bool_] | None = None, rng: Generator | None = None
    ) -> Ints:
        """Put 0 where a parameter is inactive, and a value where it was not active before.

        The value is a random one if ``rng`` is given, else the middle.
        """
        active = np.ones((len(archs), len(self.entries)), bool)
        for place, (entry, columns) in enumerate(zip(self.entries, self._columns, strict=True)):
            if not entry.when:
                continue
            self._condition(archs, active, place)
            # One code for "inactive", so that rows which are the same architecture are equal.
            archs[~active[:, place], columns] = 0
            if was is not None and (new := np.flatnonzero(active[:, place] & ~was[:, place])).size:
                parameter = entry.parameter
                archs[new, columns] = parameter.middle if rng is None else parameter.draw(rng, len(new))
        return archs

    def _forbids(self, archs: Ints) -> NDArray[np.bool_]:
        """Return which rows match a forbidden combination, (n,)."""
        result = np.zeros(len(archs), bool)
        # A combination names active parameters only: an inactive one has no value that could match.
        active = self._active(archs) if self._forbidden else result
        for pairs in self._forbidden:
            match = np.ones(len(archs), bool)
            for place, code in pairs:
                match &= active[:, place] & (archs[:, self._columns[place].start] == code)
            result |= match
        return result

    def _partial(self, values: Mapping[str, Any], key: str) -> list[tuple[int, int]]:
        """Return places and codes of a partial assignment."""
        pairs = []
        for name, value in values.items():
            place = self._place.get(name)
            parameter = None if place is None else self.entries[place].parameter
            if place is None or not isinstance(parameter, Choice):
                known = [e.name for e in self.entries if isinstance(e.parameter, Choice)]
                raise ConfigError(f"{key}.{name}", f"is no parameter to forbid. {suggest(name, known)}")
            try:
                pairs.append((place, int(parameter.read(value)[0])))
            except InputError as error:
                raise ConfigError(f"{key}.{name}", str(error)) from None
        if not pairs:
            raise ConfigError(key, "names no parameter; write some, such as {opt: adam, width: 16}")
        return pairs
