"""The layer: shapes of its answers and gradients through it."""

import pytest
import torch

from sevenfold.deq.correction import Correction
from sevenfold.deq.layer import DEQ


@pytest.mark.parametrize("graph", ["sliced", "indexing"])
@pytest.mark.parametrize("rule", ["phantom", "implicit"])
def test_training_returns_n_states_with_gradients(contraction, graph, rule):
    f, z0 = contraction(size=8)
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    layer = DEQ(max_iter=12, backward={"name": rule}, correction=Correction(n=3, graph=graph))
    states, solution = layer(lambda z: (scale * f(z)[0],), z0)
    assert len(states) == 3
    sum(state[0].sum() for state in states).backward()
    assert scale.grad is not None and scale.grad.isfinite()
    assert len(solution.trace_abs) <= 12
    layer.eval()
    states, solution = layer(lambda z: (scale * f(z)[0],), z0, max_iter=2)
    assert len(states) == 1 and not states[0][0].requires_grad
    assert len(solution.trace_abs) == 2
