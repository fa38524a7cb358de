"""Products with the transposed Jacobian of an evaluated function."""

import torch

from sevenfold.deq.base import State


def pull_back(fz: State, z: State, vector: State, *, create_graph: bool = False) -> State:
    """Return vector^T dfz/dz, part by part; zero where nothing leads from z to fz. The graph is retained."""
    tracked = [i for i, part in enumerate(fz) if part.requires_grad]
    if not tracked:
        return tuple(map(torch.zeros_like, z))
    # v^T df/dz: the product of reverse accumulation (Griewank and Walther 2008, chapter 3).
    return torch.autograd.grad(
        [fz[i] for i in tracked],
        z,
        [vector[i] for i in tracked],
        retain_graph=True,
        create_graph=create_graph,
        materialize_grads=True,
    )
