"""The DARTS space (Liu et al. 2019), which NAS-Bench-301 (Siems et al. 2020) covers with surrogates."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from sevenfold.errors import InputError
from sevenfold.nas.spaces import darts_notations
from sevenfold.nas.spaces.base import Graph, Ints, Part, Space, choose, flat, one_hot
from sevenfold.nas.spaces.darts_notations import OPS

INPUTS = np.repeat(np.arange(2, 6), 2)
"""How many predecessors each of the eight pairs of a cell can choose from; pair p belongs to node p // 2."""


class DARTS(Space):
    """A normal and a reduction cell, each with 4 nodes that add the results of 2 operations.

    A row has 32 codes: the two cells with eight (predecessor, operation) pairs each, pair p entering node
    p // 2 + 2. Predecessors are 0 (c_{k-2}), 1 (c_{k-1}) or an earlier node; those of one node differ. The
    order of a node's two pairs means nothing: ``keys`` numbers what remains, exactly.

    Samplings, neighborhoods (96 operations, 24 predecessors) and mutations are called ``adj``; a mutation
    makes ``rate`` edits on average. An edit chooses cell, pair and field evenly; it draws an operation (maybe
    the same), or a predecessor, which is left if it is the other pair's.
    Notations: ``darts`` (the text of a ``Genotype``), ``naslib`` (nested tuples of pairs, naszilla's too) and
    ``configspace`` (the architecture's part of a NAS-Bench-301 configuration, as JSON).

    Args:
        none: add the operation ``none`` as an eighth one, code 0, as in the first BANANAS experiments;
            NAS-Bench-301 does not know it.

    >>> import numpy as np
    >>> from sevenfold.nas import DARTS
    >>> space = DARTS()
    >>> arch = space.sample(np.random.default_rng(0), 1)[0]
    >>> space.neighbors(arch).shape
    (120, 32)
    """

    width = 32
    size: int
    samplings = ("adj",)
    mutations = ("adj",)
    neighborhoods = ("adj",)
    notations: tuple[str, ...] = ("darts", "naslib", "configspace")
    path_blocks = 4
    path_slots = 36

    def __init__(self, *, none: bool = False) -> None:
        self.none = none
        self.ops = ("none", *OPS) if none else OPS
        self.size = 180**2 * len(self.ops) ** 16  # below 2^63, so that keys are exact
        self.path_cutoff = sum(len(self.ops) ** length for length in range(3))
        if none:
            self.notations = ("darts", "naslib")

    def sample(self, rng: Generator, n: int, *, method: str = "adj") -> Ints:
        """Draw ``n`` architectures, (n, 32): two different predecessors of each node, any operations."""
        choose(method, self.samplings, "sampling")
        pairs = rng.integers(len(self.ops), size=(n, 2, 8, 2))
        first = rng.integers(INPUTS[::2], size=(n, 2, 4))
        # Two different predecessors, each pair with the same probability.
        second = rng.integers(INPUTS[::2] - 1, size=(n, 2, 4))
        pairs[:, :, ::2, 0] = first
        pairs[:, :, 1::2, 0] = second + (second >= first)
        return pairs.reshape(n, 32).astype(np.int8)

    def mutate(self, archs: Ints, rng: Generator, *, rate: float = 1.0, kind: str = "adj") -> Ints:
        """Return one child of each row after floor(rate) edits or one more with the remaining probability."""
        choose(kind, self.mutations, "mutation")
        children = self._valid(archs).copy()
        # E[edits] = rate, also where it is no whole number.
        edits = int(rate) + (rng.random(len(children)) < rate % 1)
        for edit in range(edits.max(initial=0)):
            rows = np.flatnonzero(edits > edit)
            children[rows] = _edit(children[rows], rng, len(self.ops))
        return children

    def neighbors(self, arch: ArrayLike, *, kind: str = "adj") -> Ints:
        """Return the 120 rows (136 with ``none``) with one other operation (first) or predecessor."""
        choose(kind, self.neighborhoods, "neighborhood")
        row = self._valid(np.atleast_2d(arch))[0]
        count = len(self.ops)
        ops = [[2 * p + 1, (row[2 * p + 1] + step) % count] for p in range(16) for step in range(1, count)]
        inputs = [
            [2 * p, source]
            for p in range(16)
            for source in range(INPUTS[p % 8])
            if source not in (row[2 * p], row[2 * (p ^ 1)])
        ]
        moves = np.array(ops + inputs)
        rows = np.repeat(row[None], len(moves), 0)
        rows[np.arange(len(moves)), moves[:, 0]] = moves[:, 1]
        return rows

    def keys(self, archs: Ints) -> NDArray[np.int64]:
        """Number the architectures 0..size-1, (n,), whatever the order of a node's two pairs."""
        pairs = sort_pairs(self.checked(archs)).astype(np.int64)
        number = np.zeros(len(pairs), np.int64)
        for cell, node in itertools.product(range(2), range(4)):
            (first, op), (second, other) = np.moveaxis(pairs[:, cell, 2 * node : 2 * node + 2], 0, 2)
            # A mixed-radix number of (pair of predecessors, two operations) of every node.
            choices = (node + 2) * (node + 1) // 2
            number = number * choices + second * (second - 1) // 2 + first
            number = (number * len(self.ops) + op) * len(self.ops) + other
        return number

    def is_valid(self, archs: Ints) -> NDArray[np.bool_]:
        """Return where all codes exist and the predecessors of every node differ, (n,)."""
        pairs = self.checked(archs).reshape(-1, 2, 8, 2)
        source, op = pairs[..., 0], pairs[..., 1]
        known = (source >= 0) & (source < INPUTS) & (op >= 0) & (op < len(self.ops))
        return np.asarray(known.all(axis=(1, 2)) & (source[..., ::2] != source[..., 1::2]).all(axis=(1, 2)))

    def to_strings(self, archs: Ints, *, notation: str = "darts") -> list[str]:
        """Write architectures; ``configspace`` orders the pairs of a node."""
        choose(notation, self.notations, "notation")
        pairs = self._valid(archs).reshape(-1, 2, 8, 2)
        return [darts_notations.WRITERS[notation](row, self.ops) for row in pairs.tolist()]

    def from_strings(self, strings: Iterable[str], *, notation: str = "darts") -> Ints:
        """Read architectures, (n, 32)."""
        choose(notation, self.notations, "notation")
        texts = list(strings)
        read = [darts_notations.read(text, notation, self.ops) for text in texts]
        archs = np.array(read, np.int8).reshape(-1, 32)
        if not (valid := self.is_valid(archs)).all():
            raise InputError(f"{texts[int(np.argmin(valid))]!r} chooses predecessors that a node cannot have")
        return archs

    def config_vectors(self, archs: Ints) -> NDArray[np.float64]:
        """Return the 56 numbers that NAS-Bench-301's surrogates read, (n, 56); see ``darts_notations``."""
        if self.ops != OPS:
            raise InputError("configuration vectors are not defined for DARTS with the operation none")
        return darts_notations.config_vectors(sort_pairs(self._valid(archs)))

    def parts(self, archs: Ints) -> list[Part]:
        """Return per cell the 7 x 7 matrix (inputs, nodes, output) and the 8 operations in order of pairs.

        The pairs of a node are taken in order of predecessor: otherwise the matrix would not say which
        operation belongs to which edge.
        """
        pairs = sort_pairs(self.checked(archs))
        matrices = []
        for cell in range(2):
            matrix = np.zeros((len(pairs), 7, 7), np.int8)
            matrix[np.arange(len(pairs))[:, None], pairs[:, cell, :, 0], INPUTS] = 1
            matrix[:, 2:6, 6] = 1
            matrices += [Part(matrix.reshape(-1, 49)), Part(pairs[:, cell, :, 1], len(self.ops))]
        return matrices

    def from_parts(self, values: Sequence[Ints]) -> Ints:
        """Return the architectures with these matrices and operations; two predecessors per node are read."""
        pairs = np.zeros((len(values[0]), 2, 8, 2), np.int8)
        for cell in range(2):
            matrix = np.asarray(values[2 * cell]).reshape(-1, 7, 7)
            chosen = np.sort((-matrix[:, :, 2:6]).argsort(axis=1, kind="stable")[:, :2], axis=1)
            pairs[:, cell, :, 0] = chosen.transpose(0, 2, 1).reshape(-1, 8)
            pairs[:, cell, :, 1] = values[2 * cell + 1]
        return pairs.reshape(-1, 32)

    def path_bits(self, archs: Ints) -> NDArray[np.uint8]:
        """Return 4 x 2801 bits (4 x 4681 with ``none``).

        The blocks are c_{k-2} and c_{k-1} of the normal cell, then of the reduction cell.

        A path runs from the input to any node, since all four are outputs; with the operations o1..oL it is
        bit sum_i b^(i-1) (o_i + 1) of its block, b being the number of operations.
        """
        pairs = self.checked(archs).reshape(-1, 2, 8, 2).astype(np.int64)
        base = len(self.ops)
        bits = np.zeros((len(pairs), 2, 2, sum(base**length for length in range(5))), np.uint8)
        for slots in _chains():
            source = pairs[:, :, slots, 0]  # (n, 2 cells, length)
            nodes = np.array(slots) // 2 + 2
            linked = (source[:, :, 1:] == nodes[:-1]).all(2) & (source[:, :, 0] < 2)
            number = (pairs[:, :, slots, 1] + 1) @ base ** np.arange(len(slots))
            row, cell = np.nonzero(linked)
            bits[row, cell, source[row, cell, 0], number[row, cell]] = 1
        return flat(bits)

    def graph(self, archs: Ints) -> Graph:
        """Return 22 vertices: per cell two inputs, the eight pairs, the output; labels in that order."""
        pairs = self.checked(archs).reshape(-1, 2, 8, 2)
        n = len(pairs)
        adjacency = np.zeros((n, 2, 11, 2, 11), np.uint8)
        labels = np.zeros((n, 2, 11), np.int8)
        labels[:, :, 2:10], labels[:, :, 10] = pairs[..., 1] + 1, len(self.ops) + 1
        enters = np.concatenate([[0, 1], INPUTS])  # the state that a vertex is, or adds to
        for cell in range(2):
            adjacency[:, cell, :10, cell, 2:10] = enters[:, None] == pairs[:, cell, None, :, 0]
            adjacency[:, cell, 2:10, cell, 10] = 1
        return Graph(
            adjacency.reshape(n, 22, 22),
            one_hot(labels.reshape(n, 22), len(self.ops) + 2),
            np.ones((n, 22), np.uint8),
        )

    def _valid(self, archs: ArrayLike) -> Ints:
        array = self.checked(archs)
        if not (valid := self.is_valid(array)).all():
            raise InputError(f"row {int(np.argmin(valid))} is no valid DARTS architecture")
        return array.astype(np.int8)


def sort_pairs(archs: Ints) -> Ints:
    """Return the pairs (n, 2, 8, 2) with those of each node in order of predecessor."""
    nodes = archs.reshape(-1, 2, 4, 2, 2)
    swap = nodes[..., :1, :1] > nodes[..., 1:, :1]
    return np.where(swap, nodes[..., ::-1, :], nodes).reshape(-1, 2, 8, 2)


def _edit(rows: Ints, rng: Generator, ops: int) -> Ints:
    n = len(rows)
    pair, field = rng.integers(16, size=n), rng.integers(2, size=n)
    op, source = rng.integers(ops, size=n), rng.integers(INPUTS[pair % 8])
    every = np.arange(n)
    same = source == rows[every, 2 * (pair ^ 1)]
    old = rows[every, 2 * pair]
    rows[every, 2 * pair + field] = np.where(field == 1, op, np.where(same, old, source))
    return rows


def _chains() -> list[tuple[int, ...]]:
    """Return the 80 ways to pass through one pair each of ascending nodes."""
    return [
        slots
        for length in range(1, 5)
        for nodes in itertools.combinations(range(4), length)
        for slots in itertools.product(*((2 * node, 2 * node + 1) for node in nodes))
    ]
