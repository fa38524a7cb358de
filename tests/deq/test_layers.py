"""Layers whose solution exists whatever their parameters are, and the transformer block."""

import pytest
import torch
from torch import Tensor

from sevenfold.deq import Anderson, Broyden, FixedPoint, Implicit, PreflightError, Stop, fixed_point
from sevenfold.deq.layers.graph import GraphDEQ, perron_bound
from sevenfold.deq.layers.monotone import MonotoneMLP, peaceman_rachford
from sevenfold.deq.layers.transformer import TransformerDEQ
from sevenfold.errors import ConfigError, InputError
from sevenfold.testing.equilibria import unroll

F64 = torch.float64
TIGHT = Stop(tol=1e-8)


def monotone(seed: int, size: float, features: int = 64, **options: object) -> MonotoneMLP:
    torch.manual_seed(seed)
    layer = MonotoneMLP(features, 5, stop=TIGHT, **options).double()
    for part in (layer.A, layer.B):
        torch.nn.init.normal_(part, std=size / features**0.5)
    return layer


@pytest.mark.parametrize(
    "size", [pytest.param(0.3, marks=pytest.mark.slow), 1.0, pytest.param(3.0, marks=pytest.mark.slow)]
)
def test_check_21_a_monotone_layer_has_one_solution_for_any_parameters(size):
    for seed in range(20):
        layer = monotone(seed, size)
        x = torch.randn(4, 5, dtype=F64)
        with torch.no_grad():
            z, record = layer(x)
            assert record.converged.all() and int(record.steps.max()) <= 200
            gap = torch.eye(64, dtype=F64) - layer.weight()
            assert float(torch.linalg.eigvalsh((gap + gap.T) / 2).min()) >= layer.m - 1e-9
            equation = torch.relu(z @ layer.weight().T + layer.inlet(x))
            torch.testing.assert_close(equation, z, rtol=1e-5, atol=1e-6)
            inverse = torch.linalg.inv(torch.eye(64, dtype=F64) + gap)
            for start in range(5):
                torch.manual_seed(100 + start)
                w, _ = fixed_point(
                    peaceman_rachford, torch.randn(4, 64, dtype=F64), (inverse, layer.inlet(x)),
                    stop=Stop(tol=1e-10), max_iter=400,
                )  # fmt: skip
                torch.testing.assert_close(w.relu(), z, rtol=0, atol=1e-7 * float(1 + z.abs().max()))


def test_check_21_gradients_of_a_monotone_layer_are_right():
    layer = monotone(0, 1.0, features=6, adjoint=Implicit(tol=1e-12, max_products=100))
    layer.stop = Stop(tol=1e-13)
    x = torch.randn(3, 5, dtype=F64, requires_grad=True)
    names = list(dict(layer.named_parameters()))

    def solution(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))[0]

    values = [part.detach().clone().requires_grad_() for part in layer.parameters()]
    assert torch.autograd.gradcheck(solution, (x, *values), eps=1e-6, atol=1e-5)


def test_the_map_of_the_network_itself_diverges_where_splitting_converges():
    layer, x = monotone(0, 3.0), torch.randn(4, 5, dtype=F64)
    with torch.no_grad():
        weight, source = layer.weight(), layer.inlet(x)
        _, record = fixed_point(
            lambda z, w, c: torch.relu(z @ w.T + c), torch.zeros(4, 64, dtype=F64), (weight, source),
            stop=TIGHT, max_iter=200, solver=FixedPoint(),
        )  # fmt: skip
    assert not record.converged.any()


def ring(nodes: int) -> Tensor:
    eye = torch.eye(nodes, dtype=F64)
    return (eye.roll(1, 0) + eye.roll(-1, 0)) / 2


def test_check_21_a_graph_layer_converges_however_large_its_weights_are():
    for seed in range(5):
        torch.manual_seed(seed)
        layer = GraphDEQ(8, 5, stop=TIGHT).double()
        with torch.no_grad():
            layer.inner.weight *= 100
            z, record = layer(torch.randn(30, 5, dtype=F64), torch.rand(30, 30, dtype=F64))
        assert record.converged and z.isfinite().all()


def test_gradients_of_a_graph_layer_are_those_of_a_long_unroll():
    torch.manual_seed(0)
    layer = GraphDEQ(4, 3, stop=Stop(tol=1e-13), adjoint=Implicit(tol=1e-13)).double()
    x, edges = torch.randn(12, 3, dtype=F64), ring(12)
    z, _ = layer(x, edges)
    wanted = list(layer.parameters())
    gradients = torch.autograd.grad(z.square().sum(), wanted)
    weight, source = layer.inner.weight, layer.inlet(x)
    bound = layer.kappa / perron_bound(edges)
    scaled = weight * (bound / weight.abs().sum(1, keepdim=True)).clamp(max=1.0)
    same = unroll(lambda z, w, c: torch.tanh(edges @ z @ w.T + c), torch.zeros_like(source), 400)(
        scaled, source
    )
    torch.testing.assert_close(z, same, rtol=0, atol=1e-10)
    for a, b in zip(gradients, torch.autograd.grad(same.square().sum(), wanted), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_the_bound_of_a_graphs_radius_holds_and_is_close():
    generator = torch.Generator().manual_seed(0)
    for density in (0.1, 0.5):
        edges = (torch.rand(40, 40, generator=generator, dtype=F64) < density) * torch.rand(
            40, 40, generator=generator, dtype=F64
        )
        edges[:, 3] = edges[3] = 0.0  # a node without a neighbor
        radius = torch.linalg.eigvals(edges).abs().max()
        assert float(perron_bound(edges)) >= float(radius) * (1 - 1e-12)
        assert float(perron_bound(edges.to_sparse())) == pytest.approx(float(perron_bound(edges)))
    assert float(perron_bound(ring(10))) == pytest.approx(1.0)


def test_a_graph_layer_takes_sparse_edges_and_refuses_others():
    torch.manual_seed(0)
    layer, x = GraphDEQ(4, 3, stop=TIGHT).double(), torch.randn(10, 3, dtype=F64)
    dense, _ = layer(x, ring(10))
    sparse, _ = layer(x, ring(10).to_sparse())
    torch.testing.assert_close(sparse, dense)
    for a, b in zip(
        torch.autograd.grad(sparse.sum(), layer.inner.weight),
        torch.autograd.grad(dense.sum(), layer.inner.weight),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
    with pytest.raises(InputError, match=r"adjacency is \(9, 9\) for 10 nodes"):
        layer(x, ring(9))
    with pytest.raises(InputError, match="negative or not finite"):
        layer(x, -ring(10))


@pytest.mark.parametrize("norm", ["none", "weight", "spectral"])
def test_check_21_a_transformer_block_converges_as_it_starts(norm):
    for seed in range(20 if norm == "weight" else 5):
        torch.manual_seed(seed)
        layer = TransformerDEQ(32, 4, norm=norm, solver=Anderson(), stop=TIGHT).double().eval()
        x = torch.randn(6, 12, 32, dtype=F64)
        with torch.no_grad():
            _, record = layer(x)  # the preflight runs too: rows are independent
        assert record.converged.all() and int(record.steps.max()) <= 60


def test_check_21_gradients_of_a_transformer_block_are_those_of_a_long_unroll():
    torch.manual_seed(0)
    layer = TransformerDEQ(16, 2, stop=Stop(tol=1e-12), solver=Broyden(), max_iter=100).double()
    layer.rule = Implicit(tol=1e-12, max_products=100)
    x = torch.randn(2, 5, 16, dtype=F64, requires_grad=True)
    wanted = [x, *layer.parameters()]
    z, record = layer(x)
    assert record.converged.all()
    gradients = torch.autograd.grad(z.square().sum() + z.sum(), wanted)
    same = unroll(layer.block, torch.zeros_like(x), 300)(x)
    expected = torch.autograd.grad(same.square().sum() + same.sum(), wanted)
    whole, other = (torch.cat([part.flatten() for part in each]) for each in (gradients, expected))
    assert float((whole - other).norm()) <= 1e-8 * float(other.norm())


def test_rows_that_look_at_each_other_are_refused_in_a_layer_of_ones_own():
    attention = (
        torch.nn.MultiheadAttention(8, 2).double().requires_grad_(False)
    )  # its batch is the second dimension

    def f(z: Tensor, x: Tensor) -> Tensor:
        return 0.5 * attention(z + x, z + x, z + x)[0]

    with pytest.raises(PreflightError, match="rows of the batch influence each other"):
        fixed_point(f, torch.zeros(4, 3, 8, dtype=F64), (torch.randn(4, 3, 8, dtype=F64),))


def test_options_of_layers_are_checked():
    with pytest.raises(ConfigError, match="m.*is 1.0; expected a modulus between 0 and 1"):
        MonotoneMLP(4, 2, m=1.0)
    with pytest.raises(ConfigError, match="kappa.*is 0.0"):
        GraphDEQ(4, 2, kappa=0.0)
    with pytest.raises(InputError, match=r"x is \(5, 16\); expected tokens \(batch, tokens, 16\)"):
        TransformerDEQ(16, 2)(torch.zeros(5, 16))
    with pytest.raises(ConfigError, match="heads.*is 3; expected a divisor of the width 16"):
        TransformerDEQ(16, 3)
