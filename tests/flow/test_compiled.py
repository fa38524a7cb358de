"""Estimators of flow as whole graphs: exported, stored and loaded again, and compiled in both modes."""

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sevenfold.deq import Stop
from sevenfold.flow.deq_flow import DEQFlow
from sevenfold.flow.network import FlowNetwork
from sevenfold.flow.raft import RAFT

pytestmark = [pytest.mark.slow]
NETWORKS: dict[str, Callable[[], FlowNetwork]] = {
    "raft": lambda: RAFT(variant="demo"),
    "deq_flow": lambda: DEQFlow(variant="demo"),
    # In double precision, for extrapolation makes more of rounding than the bound allows.
    "deq_flow, anderson": lambda: DEQFlow(variant="demo", solver={"name": "anderson"}).double(),
}


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def pair(batch: int = 2, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    first, second = torch.rand(2, batch, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return first, second


@pytest.mark.parametrize("name", NETWORKS)
def test_check_07_exported_networks_answer_as_before_for_any_number_of_pairs(name):
    torch.manual_seed(0)
    network, pairs = NETWORKS[name]().eval(), torch.export.Dim("pairs")
    dtype = next(network.parameters()).dtype
    with torch.no_grad():
        dims = {"image1": {0: pairs}, "image2": {0: pairs}, "iterations": None}
        program = torch.export.export(network, pair(2, dtype), kwargs={"iterations": 12}, dynamic_shapes=dims)
        file = io.BytesIO()
        torch.export.save(program, file)
        file.seek(0)
        again = torch.export.load(file).module()
        for batch in (2, 1, 3):
            expected = network(*pair(batch, dtype), iterations=12).flows[-1]
            result = again(*pair(batch, dtype), iterations=12).flows[-1]
            assert float((result - expected).abs().max()) <= 1e-5


def trained(call: Callable[..., Any], network: FlowNetwork) -> list[Tensor]:
    network.zero_grad()
    estimate = call(*pair(), iterations=4)
    loss = sum(flow.abs().mean() for flow in estimate.flows) + estimate.last_step
    loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in network.parameters())]


@pytest.mark.parametrize("name", ["raft", "deq_flow"])
def test_check_07_whole_graphs_evaluate_and_train_as_before(name):
    torch.manual_seed(0)
    network = NETWORKS[name]()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    network.eval()
    with torch.no_grad():
        expected = network(*pair(), iterations=6).flows[-1]
        assert float((compiled(*pair(), iterations=6).flows[-1] - expected).abs().max()) <= 1e-5
    network.train()
    (loss, *gradients), (expected_loss, *expected) = trained(compiled, network), trained(network, network)
    assert float((loss - expected_loss).abs()) <= 1e-6 * float(expected_loss)
    whole = torch.cat([part.flatten() for part in expected])
    error = torch.cat([part.flatten() for part in gradients]) - whole
    assert float(error.norm()) <= 1e-5 * float(whole.norm())


def test_check_07_a_loop_in_the_graph_stops_where_the_solver_stops():
    torch.manual_seed(0)
    network = DEQFlow(variant="demo", stop=Stop(mode="rel", tol=0.15)).eval()
    with torch.no_grad():
        expected = network(*pair(), iterations=12)
        network.deq.static = "while"
        result = torch.compile(network, fullgraph=True, backend="eager")(*pair(), iterations=12)
    assert float((result.flows[-1] - expected.flows[-1]).abs().max()) <= 1e-5
    assert torch.equal(result.solution.steps, expected.solution.steps) and expected.solution.converged.all()
    assert int(expected.solution.steps.max()) < 12
    pixels = expected.solution.last("trace_pixels").mean()
    assert float(result.last_step) == pytest.approx(float(pixels), rel=1e-4)
