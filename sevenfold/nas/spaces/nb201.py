"""NAS-Bench-201, the topology space of NATS-Bench (Dong and Yang 2020)."""

import ast
import itertools
import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import Enumerable, Graph, Ints, Part, choose, one_hot
from sevenfold.nas.spaces.nb201_keys import EDGES, OPS, Canonical, classes, official_order

PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""Coordinates along each way from node 0 to node 3, shortest first."""

ENCODED = np.array([3, 4, 1, 2, 0], np.int8)
"""Code of each operation in encodings (pool, 1x1, 3x3, none, skip = 0..4), by its code in a row."""

NASLIB_EDGES = (0, 1, 3, 2, 4, 5)  # its order is (0,1) (0,2) (0,3) (1,2) (1,3) (2,3)
NASLIB_CODES = np.array([1, 0, 3, 2, 4], np.int8)  # of none, skip, 1x1, 3x3, pool

_PLACES = 5 ** np.arange(5, -1, -1)


class NB201(Enumerable):
    """Cells of 4 nodes whose 6 edges carry one of 5 operations each, 15,625 in all.

    A row has 6 codes into ``OPS``. Numbers (``index``) are the benchmark's.

    Samplings: ``uniform``; ``connected`` draws again while node 0 has no outgoing or node 3 no incoming
    operation. Neighborhoods: ``adj``, one edge changes (24); ``path``, one of the four paths gets other
    operations (168); ``trunc_path``, the same without the path of three edges (52). Mutations: ``adj``
    changes every edge with probability rate/4; ``one`` changes exactly one edge; ``path`` and ``trunc_path``
    replace every path with probability rate/4.
    Notations: ``nb201`` (``|op~0|+|op~0|op~1|+...``) and ``naslib`` (a tuple in that library's own edge
    order and codes).

    Args:
        canonical: cells that count as one network: ``none``, each is its own, as in the papers' searches;
            ``skip``, equal up to skips and the order of sums; ``zero``, also up to ``none``; ``strict``, also
            up to terms that are zero; ``functional``, equal functions.

    >>> from sevenfold.nas import NB201
    >>> space = NB201()
    >>> archs = space.archs([0, 1])
    >>> space.to_strings(archs[:1])
    ['|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|']
    >>> space.neighbors(archs[0]).shape
    (24, 6)
    """

    width = 6
    size: int = 5**6
    samplings = ("uniform", "connected")
    mutations = ("adj", "one", "path", "trunc_path")
    neighborhoods = ("adj", "path", "trunc_path")
    notations = ("nb201", "naslib")
    path_cutoff = 30
    path_slots = 4

    def __init__(self, *, canonical: Canonical = "none") -> None:
        self.canonical = canonical
        self._classes = classes(canonical)

    def sample(self, rng: Generator, n: int, *, method: str = "uniform") -> Ints:
        """Draw ``n`` cells, (n, 6)."""
        choose(method, self.samplings, "sampling")
        archs = rng.integers(5, size=(n, 6), dtype=np.int8)
        while method == "connected":
            dead = ~(archs[:, [0, 1, 3]].any(1) & archs[:, [3, 4, 5]].any(1))
            if not dead.any():
                break
            archs[dead] = rng.integers(5, size=(dead.sum(), 6), dtype=np.int8)
        return archs

    def mutate(self, archs: Ints, rng: Generator, *, rate: float = 1.0, kind: str = "adj") -> Ints:
        """Return one child of each row; only ``one`` and a ``rate`` of 4 guarantee that it differs."""
        children = self.checked(archs).astype(np.int8)
        n = len(children)
        choose(kind, self.mutations, "mutation")
        if kind == "adj":
            return _change(children, rng.random((n, 6)) < rate / 4, rng)
        if kind == "one":
            return _change(children, np.arange(6) == rng.integers(6, size=(n, 1)), rng)
        for path in PATHS[: 3 if kind == "trunc_path" else 4]:
            rows = np.flatnonzero(rng.random(n) < rate / 4)
            # one of the other 5^L - 1 sequences: the present one plus a step that is not a full turn
            places = _PLACES[-len(path) :]
            old = children[rows[:, None], path] @ places
            new = (old + rng.integers(1, 5 ** len(path), size=len(rows))) % 5 ** len(path)
            children[rows[:, None], path] = new[:, None] // places % 5
        return children

    def neighbors(self, arch: ArrayLike, *, kind: str = "adj") -> Ints:
        """Return the cells one step away, in order of path or edge, then of operation."""
        choose(kind, self.neighborhoods, "neighborhood")
        row = self.checked(np.atleast_2d(arch))[0].astype(np.int8)
        moves = [(edge,) for edge in range(6)] if kind == "adj" else PATHS[: 3 if kind == "trunc_path" else 4]
        cells = np.concatenate([_replacements(row, coordinates) for coordinates in moves])
        codes = cells @ _PLACES
        _, first = np.unique(codes, return_index=True)
        first = np.sort(first)
        return cells[first[codes[first] != row @ _PLACES]]

    def keys(self, archs: Ints) -> NDArray[np.int64]:
        """Return the lowest number in the class of each cell, (n,)."""
        return self._classes[self.index(archs)]

    def is_valid(self, archs: Ints) -> NDArray[np.bool_]:
        """Return where all six codes are 0..4, (n,)."""
        archs = self.checked(archs)
        return np.asarray(((archs >= 0) & (archs < 5)).all(axis=1))

    def index(self, archs: Ints) -> NDArray[np.int64]:
        """Return the benchmark's number of each cell, (n,)."""
        archs = self.checked(archs)
        if not self.is_valid(archs).all():
            raise InputError(
                f"NB201 operations are codes 0..4 ({', '.join(OPS)}), got {archs.min()}..{archs.max()}"
            )
        return official_order()[1][archs @ _PLACES]

    def archs(self, indices: ArrayLike) -> Ints:
        """Return the cells with these numbers, (n, 6)."""
        numbers = np.asarray(indices)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= self.size):
            raise InputError(f"NB201 has cells 0..15624, asked for {numbers.min()}..{numbers.max()}")
        return official_order()[0][numbers]

    def neighbor_table(self) -> NDArray[np.int32]:
        """Return the numbers of the 24 ``adj`` neighbors of every cell, (15625, 24), in the same order."""
        rows, place = official_order()
        codes = (rows @ _PLACES)[:, None, None]
        others = np.arange(4) + (np.arange(4) >= rows[:, :, None])  # (n, 6, 4)
        return place[codes + (others - rows[:, :, None]) * _PLACES[:, None]].reshape(-1, 24).astype(np.int32)

    def to_strings(self, archs: Ints, *, notation: str = "nb201") -> list[str]:
        """Write cells as the benchmark's strings or as NASLib's tuples."""
        choose(notation, self.notations, "notation")
        archs = self.checked(archs)
        if notation == "naslib":
            return [str(tuple(row)) for row in NASLIB_CODES[archs[:, NASLIB_EDGES]].tolist()]
        template = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
        return [template.format(*(OPS[code] for code in row)) for row in archs.tolist()]

    def from_strings(self, strings: Iterable[str], *, notation: str = "nb201") -> Ints:
        """Read cells, (n, 6)."""
        choose(notation, self.notations, "notation")
        read = _read_naslib if notation == "naslib" else _read_nb201
        return np.array([read(text) for text in strings], np.int8).reshape(-1, 6)

    def parts(self, archs: Ints) -> list[Part]:
        """Return six operation codes; there are no other coordinates."""
        return [Part(ENCODED[self.checked(archs)], 5)]

    def from_parts(self, values: Sequence[Ints]) -> Ints:
        """Return the cells with these operation codes, (n, 6)."""
        return np.argsort(ENCODED)[np.asarray(values[0])].astype(np.int8)

    def path_bits(self, archs: Ints) -> NDArray[np.uint8]:
        """Return 155 bits: one of 5 direct operations, of 25 pairs (both ways share them), of 125 triples.

        A sequence (o1, o2, ...) stands at sum_j 5^j code(o_j) behind the shorter ones; ``none`` counts as an
        operation.
        """
        codes = ENCODED[self.checked(archs)].astype(np.int64)
        bits = np.zeros((len(codes), 155), np.uint8)
        offsets = {1: 0, 2: 5, 3: 30}
        for path in PATHS:
            bits[np.arange(len(codes)), offsets[len(path)] + codes[:, path] @ 5 ** np.arange(len(path))] = 1
        return bits

    def graph(self, archs: Ints) -> Graph:
        """Return 8 vertices: input, the six edges with their operation, output; 7 labels in that order."""
        n = len(archs := self.checked(archs))
        adjacency = np.zeros((8, 8), np.uint8)
        for edge, (source, target) in enumerate(EDGES):
            adjacency[0, edge + 1] |= source == 0
            adjacency[edge + 1, 7] |= target == 3
            for later, (start, _) in enumerate(EDGES):
                adjacency[edge + 1, later + 1] |= start == target
        labels = np.pad(ENCODED[archs] + 1, ((0, 0), (1, 1)))
        labels[:, 7] = 6
        return Graph(np.repeat(adjacency[None], n, 0), one_hot(labels, 7), np.ones((n, 8), np.uint8))


def _change(archs: Ints, where: NDArray[np.bool_], rng: Generator) -> Ints:
    """Replace the operations at ``where`` by one of the four others."""
    return np.where(where, (archs + rng.integers(1, 5, size=archs.shape)) % 5, archs).astype(np.int8)


def _replacements(arch: Ints, coordinates: tuple[int, ...]) -> Ints:
    """Return the 5^L rows with any operations at these coordinates."""
    choices = np.array(list(itertools.product(range(5), repeat=len(coordinates))), np.int8)
    rows = np.repeat(arch[None], len(choices), 0)
    rows[:, coordinates] = choices
    return rows


def _read_nb201(text: str) -> list[int]:
    pattern = r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|"
    match = re.fullmatch(pattern, text.strip())
    if match is None:
        raise InputError(f"{text!r} is no cell; expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2|")
    return [OPS.index(choose(name, OPS, f"in {text!r}, operation")) for name in match.groups()]


def _read_naslib(text: str) -> list[int]:
    try:
        codes = ast.literal_eval(text)
        ordered = [codes[NASLIB_EDGES.index(edge)] for edge in range(6)]
        if len(codes) == 6:
            return [NASLIB_CODES.tolist().index(code) for code in ordered]
    except (ValueError, SyntaxError, TypeError, IndexError):
        pass
    raise InputError(f"{text!r} is no cell; expected six codes 0..4 such as (4, 0, 3, 1, 4, 3)")
