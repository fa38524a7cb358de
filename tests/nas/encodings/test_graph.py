"""The graph encoding: shapes, labels, agreement with the path encoding."""

import numpy as np
import pytest

from sevenfold.config import locate
from sevenfold.errors import InputError
from sevenfold.nas.encodings.graph import gcn, to_graph
from sevenfold.nas.encodings.path import path
from sevenfold.nas.spaces import SPACES


@pytest.mark.parametrize("name", [name for name in SPACES if name != "typed"])
def test_graphs_survive_flattening_and_are_acyclic_and_padded_with_zeros(name):
    space = locate(SPACES[name])()
    archs = space.sample(np.random.default_rng(0), 60)
    graph = space.graph(archs)
    vertices = graph.mask.shape[1]
    again = to_graph(gcn(space, archs), vertices=vertices)
    assert all((first == second).all() for first, second in zip(again, graph, strict=True))
    assert (graph.nodes.sum(2) == graph.mask).all()
    power = graph.adjacency.astype(bool)
    dead = graph.mask == 0
    assert not (power & dead[:, :, None]).any() and not (power & dead[:, None, :]).any()
    assert not np.tril(power).any()
    with pytest.raises(InputError, match="no graphs"):
        to_graph(gcn(space, archs), vertices=vertices - 1)


@pytest.mark.parametrize("name", ["nb101", "nb201"])
def test_walks_through_the_graph_spell_the_paths(name):
    space = locate(SPACES[name])()
    archs = space.sample(np.random.default_rng(1), 100)
    graph = space.graph(archs)
    for matrix, nodes, bits in zip(graph.adjacency, graph.nodes, path(space, archs), strict=True):
        labels, found = nodes.argmax(1), set()

        def walk(vertex, ops, matrix=matrix, labels=labels, found=found):
            for other in np.flatnonzero(matrix[vertex]):
                if other == len(matrix) - 1:
                    found.add(tuple(ops))
                else:
                    walk(other, [*ops, int(labels[other]) - 1])

        walk(0, [])
        base, shift = (3, 1) if name == "nb101" else (5, 0)
        offsets = [0] * 6 if name == "nb101" else [0, 0, 5, 30]
        numbers = {
            offsets[len(ops)] + sum(base**i * (op + shift) for i, op in enumerate(ops)) for ops in found
        }
        assert numbers == set(np.flatnonzero(bits).tolist())
