"""The graph encoding for graph networks, flattened to rows."""

import numpy as np
from numpy.typing import NDArray

from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import Graph, Ints, Space, flat


def gcn(space: Space, archs: Ints) -> NDArray[np.uint8]:
    """Return ``space.graph`` flattened, (n, V * (V + labels + 1)).

    Reshaped to (n, V, V + labels + 1) each vertex holds its adjacency row, its one-hot label and its mask.
    """
    # Adjacency and one-hot labels, the inputs of a graph convolution (Kipf and Welling 2017) in the Neural
    # Predictor (Wen et al. 2020).
    graph = space.graph(archs)
    return flat(np.concatenate([graph.adjacency, graph.nodes, graph.mask[:, :, None]], axis=2))


def to_graph(rows: NDArray[np.uint8], *, vertices: int) -> Graph:
    """Return the graphs of ``gcn`` rows, given how many vertices they are padded to."""
    if rows.ndim != 2 or rows.shape[1] % vertices or rows.shape[1] <= vertices * (vertices + 1):
        raise InputError(f"rows of shape {rows.shape} are no graphs of {vertices} vertices")
    cube = rows.reshape(len(rows), vertices, -1)
    return Graph(cube[:, :, :vertices], cube[:, :, vertices:-1], cube[:, :, -1])
