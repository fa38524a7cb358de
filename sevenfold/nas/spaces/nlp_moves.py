"""Drawing and changing recurrent cells of the NLP space."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.nas.spaces.base import Ints
from sevenfold.nas.spaces.nlp_graph import BLEND, LINEAR, Recipes, unpack

STATES, INNER = 2, 7  # hidden states, and vertices besides, of the benchmark's generator
KINDS = ((1, 2, 3), (4, 5))
"""Operations that may replace each other."""

_OTHERS = {op: [other for other in kind if other != op] for kind in KINDS for op in kind}


def random_recipes(rng: Generator, n: int, slots: int) -> Ints:
    """Draw up to ``n`` recipes by the benchmark's generator and return those that are valid and fit."""
    recipes = _redundant(rng, n)
    size = recipes.counts
    # two different vertices become hidden states
    score = np.where(recipes.ops > 0, rng.random(recipes.ops.shape), -1)
    hidden = np.zeros((n, 3), int)
    hidden[:, :STATES] = (-score).argsort(1)[:, :STATES] + 4
    recipes = recipes._replace(hidden=hidden)
    entering = recipes.inputs[np.arange(n)[:, None], hidden[:, :STATES] - 4]
    direct = ((entering > 1) & (entering <= STATES + 1)).any((1, 2))  # no state is copied over in one step
    fitting = (size > 1) & ~direct & (recipes.useful()[:, 4:].sum(1) <= slots)
    recipes = _without_idle(Recipes(*(part[fitting] for part in recipes)), slots)
    return recipes.pack()[recipes.valid()]


def _redundant(rng: Generator, n: int) -> Recipes:
    """Draw graphs of 9 or 10 vertices, not all of which are used.

    Main operations come as linear:blend:product:sum = 3:1:1:1. A linear has 2 or 3 inputs (4:1) out of x, the
    previous states and the activations of linears, and one of the three activations behind it. The others
    take any vertex but x, and are drawn again while there are too few.
    """
    slots = STATES + INNER + 1
    ops, inputs = np.zeros((n, slots), int), np.zeros((n, slots, 3), int)
    activated = np.zeros((n, slots + 4), bool)
    while len(rows := np.flatnonzero((size := (ops > 0).sum(1)) < STATES + INNER)):
        size = size[rows]
        op = rng.choice([LINEAR, BLEND, 5, 4], size=len(rows), p=[1 / 2, 1 / 6, 1 / 6, 1 / 6])
        wanted = np.select([op == LINEAR, op == BLEND], [rng.choice([2, 3], len(rows), p=[0.8, 0.2]), 3], 2)
        vertex = np.arange(slots + 4)
        state = (vertex > 0) & (vertex <= STATES)
        linear = state | (vertex == 0) | activated[rows]
        other = state | ((vertex > 3) & (vertex < size[:, None] + 4))
        allowed = np.where((op == LINEAR)[:, None], linear, other)
        drawn = (-np.where(allowed, rng.random(allowed.shape), -1)).argsort(1)[:, :3] + 1
        enough = allowed.sum(1) >= wanted
        rows, size, op, drawn, wanted = (part[enough] for part in (rows, size, op, drawn, wanted))
        ops[rows, size] = op
        inputs[rows, size] = np.where(np.arange(3) < wanted[:, None], drawn, 0)
        rows, size = rows[op == LINEAR], size[op == LINEAR]
        ops[rows, size + 1] = rng.integers(1, 4, len(rows))
        inputs[rows, size + 1, 0] = size + 5
        activated[rows, size + 5] = True
    return Recipes(ops, inputs, np.zeros((n, 3), int))


def _without_idle(recipes: Recipes, slots: int) -> Recipes:
    """Remove the vertices that lead to no new hidden state and close the gaps, in ``slots`` places."""
    useful = recipes.useful()
    useful[:, :4] = True
    rows = np.arange(len(useful))[:, None]
    place = np.cumsum(useful, axis=1) - 1
    order = (~useful[:, 4:]).argsort(1, kind="stable")
    ops = np.where(useful[:, 4:], recipes.ops, 0)[rows, order]
    inputs = np.where(useful[:, 4:, None], recipes.inputs, 0)[rows, order]
    moved = place[rows[:, :, None], np.maximum(inputs - 1, 0)] + 1
    packed = Recipes(
        ops, np.where(inputs > 0, moved, 0), np.where(recipes.hidden > 0, place[rows, recipes.hidden], 0)
    )
    wide = max(0, slots - ops.shape[1])
    return Recipes(
        np.pad(packed.ops, ((0, 0), (0, wide)))[:, :slots],
        np.pad(packed.inputs, ((0, 0), (0, wide), (0, 0)))[:, :slots],
        packed.hidden,
    )


def edit(archs: Ints, rng: Generator) -> tuple[Ints, NDArray[np.bool_]]:
    """Change one operation or, as likely, one input of each row, evenly among what can change."""
    children = archs.copy()
    rows = np.arange(len(archs))
    recipes = unpack(archs)
    step = rng.integers(1, 3, len(archs))
    slot = _any_of((recipes.ops > 0) & (recipes.ops < LINEAR), rng)
    op = recipes.ops[rows, slot]
    exchanged = np.where(op < 4, (op - 1 + step) % 3 + 1, 9 - op)
    flat = _any_of((recipes.inputs > 0).reshape(len(archs), -1), rng)
    source = rng.integers(1, flat // 3 + 5)  # any earlier vertex, plus 1
    on_ops = (rng.integers(2, size=len(archs)) == 0) & (op > 0) & (op < LINEAR)
    column = np.where(on_ops, 4 * slot, 4 * (flat // 3) + 1 + flat % 3)
    children[rows, column] = np.where(on_ops, exchanged, source)
    return children, unpack(children).valid()


def _any_of(mask: NDArray[np.bool_], rng: Generator) -> NDArray[np.int64]:
    """Return the place of a random true entry of each row, (n,); any place where there is none."""
    return np.where(mask, rng.random(mask.shape), -1).argmax(1)


def all_edits(arch: Ints) -> Ints:
    """Return every row with one other operation or input, valid or not, (m, width)."""
    recipes = unpack(arch[None])
    moves = [
        (4 * slot, other) for slot, op in enumerate(recipes.ops[0].tolist()) for other in _OTHERS.get(op, [])
    ]
    for slot, which in np.argwhere(recipes.inputs[0] > 0).tolist():
        present = recipes.inputs[0, slot].tolist()
        moves += [(4 * slot + 1 + which, s) for s in range(1, slot + 5) if s not in present]
    rows = np.repeat(arch[None], len(moves), 0)
    columns, values = np.array(moves).reshape(-1, 2).T
    rows[np.arange(len(moves)), columns] = values
    return rows
