"""Numbering of NAS-Bench-201's cells, and which of them are one and the same network."""

import itertools
import random
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sevenfold.nas.spaces.base import choose

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, target) of the six coordinates of a row: the benchmark's own order."""

Canonical = Literal["none", "skip", "zero", "strict", "functional"]


@cache
def official_order() -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Return all rows in the benchmark's order, (15625, 6), and each row's place by its base-5 value.

    The benchmark numbers its cells by the lexicographic list shuffled with Python's own generator, seed 88;
    that generator is part of the format.
    """
    order = list(range(5**6))
    random.Random(88).shuffle(order)
    rows = np.array(list(itertools.product(range(5), repeat=6)), np.int8)[order]
    place = np.empty(5**6, np.int64)
    place[order] = np.arange(5**6)
    rows.flags.writeable = place.flags.writeable = False
    return rows, place


@cache
def classes(canonical: Canonical) -> NDArray[np.int64]:
    """Return for every cell, by its number, the lowest number among the cells that equal it, (15625,).

    ``none``
        every cell is its own class (15,625);
    ``skip``
        equal expressions, where a node is the sorted sum of its edges and a skip stands for its operand
        (12,751);
    ``zero``
        also, ``none`` and anything applied to exactly zero is the term ``#``, which stays in its sum
        (6,466, the number the benchmark quotes);
    ``strict``
        terms ``#`` are left out of sums (5,390);
    ``functional``
        equal functions up to the naming of parameters, see :func:`functional_key` (5,425).
    """
    choose(canonical, get_args(Canonical), "canonical form")
    key = functional_key if canonical == "functional" else lambda row: string_key(row, canonical)
    first: dict[object, int] = {}
    rows = official_order()[0].tolist()
    numbers = [first.setdefault(key(tuple(row)), number) for number, row in enumerate(rows)]
    keys = np.arange(len(rows)) if canonical == "none" else np.array(numbers)
    keys.flags.writeable = False
    return keys


def string_key(row: tuple[int, ...], canonical: Canonical) -> str:
    """Write the output of a cell as an expression in its input "0"."""
    nodes = ["0"]
    for target in (1, 2, 3):
        # NAS-Bench-201's unique string: a node is the sum of its incoming edges, written as an expression of
        # the input (Dong and Yang 2020).
        terms = [_term(row[e], nodes[s], canonical) for e, (s, t) in enumerate(EDGES) if t == target]
        if canonical == "strict":
            terms = [term for term in terms if term != "#"] or ["#"]
        nodes.append("+".join(sorted(terms)))
    return nodes[3]


def _term(op: int, source: str, canonical: Canonical) -> str:
    if OPS[op] == "skip_connect":
        return source
    if canonical != "skip" and (OPS[op] == "none" or source == "#"):
        return "#"
    return f"({source})@{OPS[op]}"


def functional_key(row: tuple[int, ...]) -> tuple[object, ...]:
    """Name the function that a cell computes, whatever its parameters are called.

    A node is a multiset of the input and of operations (edges that are neither ``none`` nor skip, applied to
    a node that is not empty); a skip adds its source's multiset. Operations that do not reach the output are
    left out, and the key is the smallest description over all numberings of operations that have equal
    expressions. Every operation counts as a different one, so conv(x) + conv(x) by one edge twice and by two
    edges differ. Pooling is no exception although it has no parameters: taking equal poolings together would
    leave 5,260 classes, and using that pooling is linear 5,044.
    """
    # Two cells compute the same function exactly if their graphs of live operations are isomorphic.
    inputs: dict[int, list[int]] = {}  # operation (its edge) -> multiset it is applied to; -1 is the input
    nodes: list[list[int]] = [[-1], [], [], []]
    for edge, (source, target) in enumerate(EDGES):  # in an order that completes sources first
        if OPS[row[edge]] == "skip_connect":
            nodes[target] += nodes[source]
        elif OPS[row[edge]] != "none" and nodes[source]:
            inputs[edge] = nodes[source]
            nodes[target].append(edge)
    live: list[int] = []
    waiting = list(nodes[3])
    while waiting:
        edge = waiting.pop()
        if edge >= 0 and edge not in live:
            live.append(edge)
            waiting += inputs[edge]
    return _smallest(row, {edge: inputs[edge] for edge in sorted(live)}, nodes[3])


def _smallest(row: tuple[int, ...], inputs: dict[int, list[int]], output: list[int]) -> tuple[object, ...]:
    """Return the smallest description over the numberings that keep equal expressions together."""
    expression = {-1: "0"}
    for edge, source in inputs.items():
        expression[edge] = f"{row[edge]}({'+'.join(sorted(expression[e] for e in source))})"
    ordered = sorted(inputs, key=expression.__getitem__)
    groups = [list(group) for _, group in itertools.groupby(ordered, key=expression.__getitem__)]
    descriptions = []
    # Only operations with equal expressions can be exchanged: the search over numberings stays small.
    for choice in itertools.product(*(itertools.permutations(group) for group in groups)):
        number = {edge: i for i, edge in enumerate(itertools.chain(*choice))} | {-1: -1}
        operations = tuple((row[e], *sorted(number[s] for s in inputs[e])) for e in itertools.chain(*choice))
        descriptions.append((*operations, tuple(sorted(number[e] for e in output))))
    return min(descriptions)
