"""How recurrent cells are written by others: the benchmark's recipes and NASLib's tuples."""

import ast
import json
import re

from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import choose
from sevenfold.nas.spaces.nlp_graph import OPS

BASES = ("x", "h_prev_0", "h_prev_1", "h_prev_2")


def _vertices(row: list[int]) -> list[tuple[int, list[int]]]:
    """Return (operation, inputs) of every vertex in use, from a row of the space."""
    slots = [row[start : start + 4] for start in range(0, len(row) - 3, 4)]
    return [(op, [source - 1 for source in inputs if source]) for op, *inputs in slots if op]


def to_recipe(row: list[int]) -> str:
    """Write the JSON object {name: {op, input}} with nodes named ``node_i`` and ``h_new_i``."""
    vertices, hidden = _vertices(row), row[-3:]
    names = [*BASES, *(f"node_{i}" for i in range(len(vertices)))]
    for state, vertex in enumerate(hidden):
        if vertex:
            names[vertex] = f"h_new_{state}"
    recipe = {
        name: {"op": OPS[op], "input": [names[source] for source in inputs]}
        for name, (op, inputs) in zip(names[4:], vertices, strict=True)
    }
    return json.dumps(recipe)


def to_compact(row: list[int]) -> str:
    """Write the tuple (edges, operation codes, hidden states)."""
    vertices = _vertices(row)
    edges = tuple((s, v) for v, (_, inputs) in enumerate(vertices, start=4) for s in inputs)
    ops = (0, 0, 0, 0, *(op for op, _ in vertices))
    return str((edges, ops, tuple(vertex for vertex in row[-3:] if vertex)))


def from_recipe(text: str, slots: int) -> list[int]:
    """Read a recipe as a row; nodes are reordered so that inputs come first."""
    try:
        recipe = json.loads(text)
        nodes = {
            str(name): (str(node["op"]), [str(i) for i in node["input"]]) for name, node in recipe.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError(
            f"{text!r} is no recipe; expected a JSON object of nodes with 'op' and 'input'"
        ) from None
    names = list(BASES)
    # Topological order by rounds: whatever has all its inputs is placed next.
    while ready := [n for n, (_, inputs) in nodes.items() if n not in names and set(inputs) <= set(names)]:
        names += ready
    if missing := set(nodes) - set(names):
        raise InputError(f"{text!r}: inputs of {', '.join(sorted(missing))} are unknown or form a circle")
    vertices = [
        (OPS.index(choose(nodes[n][0], OPS[1:], "operation")), [names.index(i) for i in nodes[n][1]])
        for n in names[4:]
    ]
    # "h_new_1" is the hidden state 1, in whatever order the file lists them.
    states = {int(n[6:]): names.index(n) for n in names[4:] if re.fullmatch(r"h_new_[0-9]", n)}
    return _row(vertices, [states[state] for state in sorted(states)], slots, text)


def from_compact(text: str, slots: int) -> list[int]:
    """Read NASLib's tuple as a row."""
    try:
        edges, ops, hidden = ast.literal_eval(text)
        vertices = [
            (int(op), [int(s) for s, t in edges if t == vertex])
            for vertex, op in enumerate(ops)
            if vertex > 3
        ]
        return _row(vertices, [int(vertex) for vertex in hidden], slots, text)
    except (ValueError, SyntaxError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{text!r} is no recipe; expected (edges, operations, hidden states)") from None


def _row(vertices: list[tuple[int, list[int]]], hidden: list[int], slots: int, text: str) -> list[int]:
    if not all(0 <= code <= slots + 3 for op, inputs in vertices for code in (op, *inputs)):
        raise InputError(f"{text!r} names operations or vertices that do not exist")
    if len(vertices) > slots or len(hidden) > 3 or any(len(inputs) > 3 for _, inputs in vertices):
        raise InputError(
            f"{text!r} has {len(vertices)} nodes and {len(hidden)} hidden states; at most {slots} "
            "nodes of 3 inputs and 3 states fit (max_nodes is 3 more than the nodes)"
        )
    filled = [[op, *(s + 1 for s in inputs), *[0] * (3 - len(inputs))] for op, inputs in vertices]
    filled += [[0, 0, 0, 0]] * (slots - len(vertices))
    return [*(code for vertex in filled for code in vertex), *hidden, *[0] * (3 - len(hidden))]
