"""NAS-Bench-101 (Ying et al. 2019)."""

import ast
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from sevenfold.errors import InputError
from sevenfold.nas.spaces import nb101_graph, nb101_moves
from sevenfold.nas.spaces.base import Enumerable, Graph, Ints, Part, choose, one_hot
from sevenfold.nas.spaces.nb101_cells import all_cells, numbers
from sevenfold.nas.spaces.nb101_graph import OPS, in_chunks, prune
from sevenfold.nas.spaces.nb101_moves import PathKind
from sevenfold.nas.spaces.rejection import change, until_valid

PATH_KINDS = tuple(w + t + c + "path" for w in ("", "wtd_") for c in ("", "cont_") for t in ("", "trunc_"))

ENCODED = np.array([1, 0, 2], np.int8)
"""Code of each operation in adjacency encodings (1x1, 3x3, pooling = 0..2), by its code in a row."""

_NASLIB = ("input", "output", "maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu")


class NB101(Enumerable):
    """Cells of up to 7 vertices and, once pruned, 9 edges, with one of 3 operations on each inner vertex.

    Rows are described in :mod:`nb101_graph`; different rows may be the same cell, which ``keys`` tells and
    ``index`` numbers (423,624 cells). Nothing is looked up in the benchmark's files: the cells and the table
    from sets of paths to cells are enumerated on first use, in a few seconds.

    Samplings: ``adj``, ``cont_adj``, ``uniform`` over the different cells, and by sets of paths ``path``,
    ``cont_path`` with the prefixes ``trunc_`` (short paths only) and ``wtd_`` (paths weighted by length).
    Mutations: the same without ``uniform``, and ``trunc_adj``. Neighborhoods: ``adj``, ``path``,
    ``trunc_path``. The option ``cutoff`` of the methods is how many leading coordinates of the encoding a
    ``trunc_`` form uses, 40 paths or 21 of the 26 codes if not given.
    Notations: ``nasbench`` (``adjacency bits|operations`` of the pruned cell, as in the record file) and
    ``naslib`` (a tuple of the 49 bits of the matrix and 7 codes).

    >>> import numpy as np
    >>> from sevenfold.nas import NB101
    >>> space = NB101()
    >>> archs = space.sample(np.random.default_rng(0), 3)
    >>> archs.shape, bool(space.is_valid(archs).all())
    ((3, 26), True)
    """

    width = 26
    size: int = 423624
    samplings = ("adj", "cont_adj", "uniform", *PATH_KINDS)
    mutations = ("adj", "cont_adj", "trunc_adj", *PATH_KINDS)
    neighborhoods = ("adj", "path", "trunc_path")
    notations = ("nasbench", "naslib")
    path_cutoff = 40
    path_slots = 20

    def sample(self, rng: Generator, n: int, *, method: str = "adj", cutoff: int | None = None) -> Ints:
        """Draw ``n`` valid cells, (n, 26)."""
        choose(method, self.samplings, "sampling")
        paths = self._path_kind(method, cutoff)
        if method == "uniform":
            return all_cells().archs[rng.integers(self.size, size=n)]
        if method.endswith("path"):
            return until_valid(n, partial(nb101_moves.random_paths, rng, kind=paths))
        continuous = method == "cont_adj"
        # Rejection keeps the law of the generator on valid cells (Ying et al. 2019).
        return until_valid(n, partial(nb101_moves.random_edges, rng, continuous=continuous))

    def mutate(
        self, archs: Ints, rng: Generator, *, rate: float = 1.0, kind: str = "adj", cutoff: int | None = None
    ) -> Ints:
        """Return one valid child of each row, (n, 26)."""
        parents = self._valid(archs)
        choose(kind, self.mutations, "mutation")
        if kind.endswith("path"):
            paths = self._path_kind(kind, cutoff)
            propose = partial(nb101_moves.change_paths, rng=rng, rate=rate, kind=paths)
            return change(parents, propose)
        keep = self._cutoff(kind, cutoff, 21, 26)
        if kind == "cont_adj":
            return change(parents, partial(nb101_moves.move_edge, rng=rng, rate=rate))
        return change(parents, partial(nb101_moves.flip_edges, rng=rng, rate=rate, cutoff=keep))

    def neighbors(self, arch: ArrayLike, *, kind: str = "adj", cutoff: int | None = None) -> Ints:
        """Return the cells one step away: ``adj`` by one operation or edge, ``path`` by one path."""
        choose(kind, self.neighborhoods, "neighborhood")
        row = self._valid(np.atleast_2d(arch))
        keep = self._path_kind(kind, cutoff).cutoff
        if kind == "adj":
            rows, chosen = nb101_moves.edge_neighbors(row)
            return rows[chosen]
        return nb101_moves.path_neighbors(row[0], keep)

    def keys(self, archs: Ints) -> NDArray[np.int64]:
        """Return a 64-bit hash of each pruned cell, (n,), equal for isomorphic ones."""
        return nb101_graph.keys(self.checked(archs))

    def module_hashes(self, archs: Ints) -> list[str]:
        """Return the benchmark's MD5 name of each cell."""
        return nb101_graph.module_hashes(self.checked(archs))

    def is_valid(self, archs: Ints) -> NDArray[np.bool_]:
        """Return which rows hold known codes and, pruned, a connected cell of at most 9 edges."""
        archs = self.checked(archs)
        # Codes are tested first, for a graph of unknown codes has no meaning.
        known = (archs >= 0).all(axis=1) & (archs[:, :21] < 2).all(axis=1) & (archs[:, 21:] < 3).all(axis=1)
        return known & in_chunks(lambda rows: prune(rows).valid, archs)

    def index(self, archs: Ints) -> NDArray[np.int64]:
        """Return the number of each cell in our enumeration, (n,)."""
        return numbers(self.checked(archs))

    def archs(self, indices: ArrayLike) -> Ints:
        """Return the cells with these numbers, (n, 26)."""
        numbers = np.asarray(indices)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= self.size):
            raise InputError(
                f"NB101 has cells 0..{self.size - 1}, asked for {numbers.min()}..{numbers.max()}"
            )
        return all_cells().archs[numbers]

    def neighbor_table(self) -> NDArray[np.int32]:
        """Return the numbers of the different ``adj`` neighbors of every cell; takes a minute or two."""
        return np.asarray(in_chunks(_neighbor_numbers, all_cells().archs, rows=1 << 12))

    def to_strings(self, archs: Ints, *, notation: str = "nasbench") -> list[str]:
        """Write cells; ``nasbench`` writes the pruned cell."""
        choose(notation, self.notations, "notation")
        archs = self.checked(archs)
        return [_to_naslib(row) for row in archs] if notation == "naslib" else _to_nasbench(archs)

    def from_strings(self, strings: Iterable[str], *, notation: str = "nasbench") -> Ints:
        """Read cells, (n, 26); those with fewer than 7 vertices get idle ones before the output."""
        choose(notation, self.notations, "notation")
        read = _from_naslib if notation == "naslib" else _from_nasbench
        texts = list(strings)
        archs = np.array([read(text) for text in texts], np.int8).reshape(-1, 26)
        if not (valid := self.is_valid(archs)).all():
            raise InputError(f"{texts[int(np.argmin(valid))]!r} is no cell: not connected, or above 9 edges")
        return archs

    def parts(self, archs: Ints) -> list[Part]:
        """Return the 21 edge bits and 5 operations."""
        archs = self.checked(archs)
        return [Part(archs[:, :21]), Part(ENCODED[archs[:, 21:]], 3, unit=0.5)]

    def from_parts(self, values: Sequence[Ints]) -> Ints:
        """Return the rows with these edges and operations; they need not be valid."""
        return np.concatenate([values[0], ENCODED[values[1]]], axis=1).astype(np.int8)

    def path_bits(self, archs: Ints) -> NDArray[np.uint8]:
        """Return which of the 364 paths are present, (n, 364)."""
        return nb101_graph.path_bits(self.checked(archs))

    def from_path_bits(self, bits: NDArray[np.integer]) -> Ints:
        """Return the cell that stands for each set of paths, (n, 26): the one with the lowest number."""
        number = all_cells().by_paths.find(nb101_moves.set_names(np.asarray(bits) > 0))
        if (number < 0).any():
            raise InputError(f"no NB101 cell has exactly the paths of row {int(np.argmin(number))}")
        return all_cells().archs[number]

    def graph(self, archs: Ints) -> Graph:
        """Return the pruned cells; labels are input, the three operations in row order, output."""
        archs = self.checked(archs)
        matrix, alive = prune(archs)
        labels = np.zeros((len(archs), 7), np.int8)
        labels[:, 1:6], labels[:, 6] = archs[:, 21:] + 1, 4
        return Graph(matrix.astype(np.uint8), one_hot(labels, 5) * alive[:, :, None], alive.astype(np.uint8))

    def _valid(self, archs: ArrayLike) -> Ints:
        array = self.checked(archs)
        if not (valid := self.is_valid(array)).all():
            raise InputError(f"row {int(np.argmin(valid))} is no valid NB101 cell")
        return array.astype(np.int8)

    def _path_kind(self, name: str, cutoff: int | None) -> PathKind:
        keep = self._cutoff(name, cutoff, self.path_cutoff, 364)
        return PathKind(continuous="cont" in name, weighted="wtd" in name, cutoff=keep)

    def _cutoff(self, name: str, cutoff: int | None, default: int, most: int) -> int:
        """Return how many coordinates to use: all of them if the name does not begin with ``trunc_``."""
        if cutoff is not None and ("trunc" not in name or not 1 <= cutoff <= most):
            raise InputError(f"a cutoff is 1..{most} of a 'trunc_' form; got {cutoff} for '{name}'")
        return (default if cutoff is None else cutoff) if "trunc" in name else most


def _neighbor_numbers(archs: Ints) -> NDArray[np.int32]:
    rows, chosen = nb101_moves.edge_neighbors(archs)
    places = np.full(chosen.shape, 1 << 30)
    places[chosen] = numbers(rows[chosen])
    # A change among idle vertices leaves the pruned cell as it was: no neighbor.
    places[places == numbers(archs)[:, None]] = 1 << 30
    places.sort(axis=1)
    # Sorted, so that equal neighbors are adjacent and all but one are dropped.
    places[:, 1:][places[:, 1:] == places[:, :-1]] = 1 << 30
    places.sort(axis=1)
    return np.where(places == 1 << 30, -1, places).astype(np.int32)


def _to_nasbench(archs: Ints) -> list[str]:
    matrix, alive = prune(archs)
    texts = []
    for cell, vertices, codes in zip(matrix, alive, archs[:, 21:], strict=True):
        labels = ["input", *(OPS[code] for code in codes), "output"]
        bits = "".join("01"[bit] for bit in cell[vertices][:, vertices].ravel().astype(int))
        texts.append(
            f"{bits}|{','.join(label for label, keep in zip(labels, vertices, strict=True) if keep)}"
        )
    return texts


def _from_nasbench(text: str) -> list[int]:
    bits, _, names = text.partition("|")
    labels = names.split(",")
    if len(labels) ** 2 != len(bits) or set(bits) - set("01"):
        raise InputError(f"{text!r} is no cell; expected n*n bits, '|' and n operations with commas")
    return _row([int(bit) for bit in bits], labels, text)


def _to_naslib(row: Ints) -> str:
    matrix = np.zeros((7, 7), int)
    matrix[nb101_graph.SOURCES, nb101_graph.TARGETS] = row[:21]
    return str((*matrix.ravel().tolist(), 0, *(_NASLIB.index(OPS[code]) for code in row[21:]), 1))


def _from_naslib(text: str) -> list[int]:
    try:
        codes = [int(code) for code in ast.literal_eval(text)]
        vertices = int(len(codes) ** 0.5)
        if len(codes) == vertices * (vertices + 1) and min(codes) >= 0:
            return _row(codes[:-vertices], [_NASLIB[code] for code in codes[-vertices:]], text)
    except (ValueError, SyntaxError, TypeError, IndexError):
        pass
    raise InputError(f"{text!r} is no cell; expected the n*n bits of the matrix and n codes 0..4")


def _row(bits: Sequence[int], labels: Sequence[str], text: str) -> list[int]:
    """Place n vertices into 7: the output last, idle vertices before it."""
    n = len(labels)
    if not 2 <= n <= 7 or labels[0] != "input" or labels[-1] != "output":
        raise InputError(f"{text!r} is no cell; expected 2 to 7 vertices from 'input' to 'output'")
    small = np.array(bits).reshape(n, n)
    if np.tril(small).any() or not set(bits) <= {0, 1}:
        raise InputError(f"{text!r} is no cell; its matrix is not strictly upper triangular bits")
    # Idle vertices have no edges, so pruning removes them again.
    place = [*range(n - 1), 6]
    matrix = np.zeros((7, 7), int)
    matrix[np.ix_(place, place)] = small
    codes = [OPS.index(choose(name, OPS, f"in {text!r}, operation")) for name in labels[1:-1]]
    return [*matrix[nb101_graph.SOURCES, nb101_graph.TARGETS].tolist(), *codes, *[0] * (7 - n)]
