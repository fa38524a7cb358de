"""Rows of the NLP space as arrays: validity, names, places."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sevenfold.nas.spaces.base import Ints
from sevenfold.nas.spaces.nb101_graph import mix

OPS = (
    "in",
    "activation_sigm",
    "activation_tanh",
    "activation_leaky_relu",
    "elementwise_sum",
    "elementwise_prod",
    "linear",
    "blend",
)
LINEAR, BLEND = 6, 7
FEWEST = np.array([0, 1, 1, 1, 2, 2, 2, 3])
MOST = np.array([0, 1, 1, 1, 2, 2, 3, 3])
"""How many inputs each operation takes."""


class Recipes(NamedTuple):
    """A population: ``ops`` (n, s), ``inputs`` (n, s, 3) as vertex + 1, ``hidden`` (n, 3); 0 is none."""

    ops: Ints
    inputs: Ints
    hidden: Ints

    @property
    def counts(self) -> Ints:
        """Return how many vertices have an operation, (n,)."""
        return (self.ops > 0).sum(1)

    def pack(self) -> Ints:
        """Return the rows of the space, (n, 4 s + 3)."""
        n, slots = self.ops.shape
        vertices = np.concatenate([self.ops[:, :, None], self.inputs], axis=2).reshape(n, 4 * slots)
        return np.concatenate([vertices, self.hidden], axis=1).astype(np.int8)

    def matrix(self) -> NDArray[np.bool_]:
        """Return which vertex is an input of which, (n, s + 4, s + 4)."""
        n, slots = self.ops.shape
        matrix = np.zeros((n, slots + 4, slots + 4), bool)
        row, slot, which = np.nonzero(self.inputs)
        matrix[row, self.inputs[row, slot, which] - 1, slot + 4] = True
        return matrix

    def useful(self) -> NDArray[np.bool_]:
        """Return which vertices lead to a new hidden state, (n, s + 4)."""
        matrix = self.matrix()
        vertices = matrix.shape[2]
        reached = np.zeros((len(matrix), vertices), bool)
        row, state = np.nonzero(self.hidden)
        reached[row, self.hidden[row, state]] = True
        for vertex in range(vertices - 1, 3, -1):
            reached |= matrix[:, :, vertex] & reached[:, vertex, None]
        return reached

    def valid(self) -> NDArray[np.bool_]:
        """Return which are valid recipes, (n,)."""
        known = self._codes_are_known()
        ops, inputs, hidden = (
            np.where(known, part.T, 0).T for part in self
        )  # so that numbers can be looked up
        taken = (inputs > 0).sum(2)
        fits = ((taken >= FEWEST[ops]) & (taken <= MOST[ops])).all(1)
        earlier = (inputs <= np.arange(4, 4 + ops.shape[1])[:, None]).all((1, 2))
        first, second = inputs[:, :, [0, 0, 1]], inputs[:, :, [1, 2, 2]]
        twice = ((first == second) & (first > 0)).any((1, 2))
        useful = Recipes(ops, inputs, hidden).useful()
        idle = (~useful[:, 4:] & (ops > 0)).any(1) | ~useful[:, 0]
        previous = (useful[:, 1:4] == (hidden > 0)).all(1)
        return np.asarray(known & fits & earlier & ~twice & ~idle & previous)

    def _codes_are_known(self) -> NDArray[np.bool_]:
        """Return where all numbers exist, vertices and inputs and states come without gaps, states differ."""
        ops, inputs, hidden = self
        slots = ops.shape[1]
        known = ((ops >= 0) & (ops < len(OPS))).all(1) & ((inputs >= 0) & (inputs <= slots + 4)).all((1, 2))
        ends = self.counts + 4
        known &= ((hidden == 0) | ((hidden > 3) & (hidden < ends[:, None]))).all(1) & (hidden[:, 0] > 0)
        packed = [(part[..., :-1] > 0) >= (part[..., 1:] > 0) for part in (ops, hidden)]
        known &= packed[0].all(1) & packed[1].all(1)
        known &= ((inputs[:, :, :-1] > 0) >= (inputs[:, :, 1:] > 0)).all((1, 2))
        return known & ~((hidden[:, [0, 0, 1]] == hidden[:, [1, 2, 2]]) & (hidden[:, [1, 2, 2]] > 0)).any(1)

    def keys(self) -> NDArray[np.int64]:
        """Hash each recipe so that only its structure counts, (n,)."""
        n, slots = self.ops.shape
        labels, mask = wide_labels(self)
        word = mix(labels[:, : slots + 4].astype(np.uint64))
        row, state = np.nonzero(self.hidden)
        word[row, self.hidden[row, state]] += mix(100 + state.astype(np.uint64))
        ways = np.zeros((3, n, slots + 4, slots + 4), np.uint64)
        row, slot, which = np.nonzero(self.inputs)
        way = np.where(self.ops[row, slot] == BLEND, which, 0)  # only blend tells its inputs apart
        ways[way, row, self.inputs[row, slot, which] - 1, slot + 4] = 1
        for _ in range(slots):
            new = word.copy()
            for number, matrix in enumerate(ways):
                mixed = mix(word + np.uint64(number))[:, :, None]
                new += mix((matrix.transpose(0, 2, 1) @ mixed)[:, :, 0] + np.uint64(7 + number))
                new += mix((matrix @ mixed)[:, :, 0] + np.uint64(17 + number))
            word = mix(new)
        alive = mask[:, : slots + 4] > 0
        return mix(np.where(alive, mix(word), 0).sum(1, dtype=np.uint64)).view(np.int64)


def unpack(archs: Ints) -> Recipes:
    """Return the arrays of rows (n, 4 s + 3)."""
    slots = archs.shape[1] // 4
    vertices = archs[:, : 4 * slots].reshape(-1, slots, 4)
    return Recipes(vertices[:, :, 0], vertices[:, :, 1:], archs[:, 4 * slots :])


def positions_of(counts: Ints, max_nodes: int) -> NDArray[np.int64]:
    """Return each vertex's place when the last one in use goes to the end, (n, max_nodes + 1)."""
    place = np.repeat(np.arange(max_nodes + 1)[None], len(counts), 0)
    rows = np.arange(len(counts))
    place[rows, counts + 3], place[:, max_nodes] = (
        max_nodes,
        np.where(counts + 3 == max_nodes, max_nodes, counts + 3),
    )
    return place


def wide_labels(recipes: Recipes) -> tuple[Ints, NDArray[np.uint8]]:
    """Return labels and mask of all vertices and the three new states behind them, both (n, s + 7).

    Labels: 0 x, 1..3 previous states, 4..10 operations, 11..13 new states.
    """
    n, slots = recipes.ops.shape
    labels = np.zeros((n, slots + 7), np.int8)
    labels[:, :4], labels[:, slots + 4 :] = np.arange(4), np.arange(11, 14)
    labels[:, 4 : slots + 4] = np.where(recipes.ops > 0, recipes.ops + 3, 0)
    mask = np.ones((n, slots + 7), np.uint8)
    mask[:, 1:4] = mask[:, slots + 4 :] = recipes.hidden > 0
    mask[:, 4 : slots + 4] = recipes.ops > 0
    return labels, mask
