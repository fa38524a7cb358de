"""The layer: which states it returns, with which gradients, and what it keeps for the backward pass."""

import copy

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from sevenfold.deq.anderson import Anderson
from sevenfold.deq.base import Stop
from sevenfold.deq.correction import Correction
from sevenfold.deq.implicit import Implicit
from sevenfold.deq.layer import DEQ
from sevenfold.deq.phantom import Phantom
from sevenfold.deq.plain import FixedPoint

GRAPHS = ["sliced", "indexing"]


class Toy(torch.nn.Module):
    """z -> tanh(W z + x), with W of norm ``radius``."""

    def __init__(self, radius=0.9, size=16):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(size, size, generator=generator, dtype=torch.float64)
        self.weight = torch.nn.Parameter(weight * radius / torch.linalg.matrix_norm(weight, 2))
        self.x = 0.3 * torch.randn(3, size, generator=generator, dtype=torch.float64)
        self.z0 = (torch.zeros(3, size, dtype=torch.float64),)
        self.calls = 0

    def forward(self, z, index=None):
        self.calls += 1
        return (torch.tanh(z[0] @ self.weight.T + (self.x if index is None else self.x[index])),)

    def gradient(self, state):
        weights = torch.linspace(-1, 1, state[0].numel(), dtype=torch.float64).view_as(state[0])
        return torch.autograd.grad((state[0] * weights).sum(), self.weight, retain_graph=True)[0]


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("backward", [{"name": "phantom", "steps": 2}, {"name": "implicit"}])
@pytest.mark.parametrize("tol", [0.0, 1e-1])
def test_check_06_n_states_in_order_also_when_the_solve_ends_early(graph, backward, tol):
    f = Toy(radius=0.6)
    layer = DEQ(
        solver=FixedPoint(),
        backward=backward,
        max_iter=12,
        stop=Stop(tol=tol),
        correction=Correction(n=4, graph=graph),
    )
    states, solution = layer(f, f.z0)
    assert len(states) == 4
    assert all(state[0].requires_grad for state in states)
    if tol:
        assert len(solution.trace_abs) < 12
    residuals = [float((f(state)[0] - state[0]).norm().detach()) for state in states]
    assert residuals == sorted(residuals, reverse=True)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("tol", [1e-12, 1e-1])
def test_check_06_the_last_gradient_is_the_implicit_one(graph, tol):
    """Regression: with early stop, states used to meet the gradient functions of earlier ones."""
    f = Toy()
    correction = Correction(n=3, graph=graph)
    layer = DEQ(
        backward={"name": "implicit", "max_products": 200, "tol": 1e-13},
        max_iter=90,
        stop=Stop(tol=tol),
        correction=correction,
    )
    states, solution = layer(f, f.z0)
    assert len(solution.trace_abs) < 90
    (exact,) = Implicit(max_products=200, tol=1e-13).attach(f, solution.value)
    (one_step,) = Phantom().attach(f, solution.value)
    torch.testing.assert_close(f.gradient(states[-1]), f.gradient(exact), rtol=1e-9, atol=1e-12)
    assert (f.gradient(states[-1]) - f.gradient(one_step)).norm() > 0.05 * f.gradient(exact).norm()
    if tol == 1e-12:  # the earlier states have the one-step gradient
        torch.testing.assert_close(f.gradient(states[-2]), f.gradient(one_step), rtol=1e-6, atol=1e-9)


def test_check_06_sliced_states_are_restarted_solves_with_tracked_steps():
    """F + n k evaluations: solve, k phantom steps, go on; plain iteration makes it one sequence."""
    f = Toy()
    layer = DEQ(
        check=False,
        solver=FixedPoint(),
        backward=Phantom(steps=2),
        max_iter=9,
        stop=Stop(tol=0),
        correction=Correction(n=2, indexing=[4]),
    )
    states, solution = layer(f, f.z0)
    assert f.calls == 9 + 2 * 2
    assert len(solution.trace_abs) == 9 and solution.steps.tolist() == [9, 9, 9]
    z, sequence = f.z0, []
    for _ in range(13):
        z = f(z)
        sequence.append(z[0].detach())
    torch.testing.assert_close(states[0][0].detach(), sequence[5])
    torch.testing.assert_close(states[1][0].detach(), sequence[12])
    assert solution.step_of_best.tolist() == [9, 9, 9]


def test_check_06_indexed_states_are_those_of_one_solve():
    f = Toy()
    layer = DEQ(
        check=False,
        solver=FixedPoint(),
        max_iter=9,
        stop=Stop(tol=0),
        correction=Correction(indexing=[2, 5], graph="indexing"),
    )
    states, solution = layer(f, f.z0)
    assert f.calls == 9 + 3
    z, sequence = f.z0, []
    for _ in range(10):
        z = f(z)
        sequence.append(z[0].detach())
    for state, at in zip(states, (2, 5, 9), strict=True):
        torch.testing.assert_close(state[0].detach(), sequence[at])


def test_supervising_all_phantom_steps():
    f = Toy()
    layer = DEQ(backward=Phantom(steps=3, supervise="all"), max_iter=8, correction=Correction(n=2))
    states, _ = layer(f, f.z0)
    assert len(states) == 6


@pytest.mark.parametrize("graph", GRAPHS)
def test_evaluation_returns_the_solution_alone(graph):
    f = Toy()
    layer = DEQ(max_iter=10, stop=Stop(tol=0), correction=Correction(n=2, graph=graph), check=False)
    with torch.no_grad():
        states, solution = layer(f, f.z0)
    assert len(states) == 1 and f.calls == 10
    layer.eval()
    with torch.no_grad():
        states, solution = layer(f, f.z0)
    assert len(states) == 1 and states[0] is solution.value and not states[0][0].requires_grad
    assert len(solution.trace_abs) == 15
    assert DEQ(max_iter=10, eval_max_iter=7).eval()(f, f.z0)[1].steps.max() <= 7
    assert len(layer(f, f.z0, max_iter=3)[1].trace_abs) == 3


def test_the_caller_may_draw_the_depth():
    f = Toy()
    layer = DEQ(max_iter=12, stop=Stop(tol=0), correction=Correction(n=3))
    for depth in (3, 6, 18):
        states, solution = layer(f, f.z0, max_iter=depth)
        assert len(states) == 3 and len(solution.trace_abs) == depth
    with pytest.raises(ValueError, match="fewer states"):
        layer(f, f.z0, max_iter=2)


def test_compaction_and_measure_reach_the_solver():
    f = Toy()
    f.x[0] = 0
    seen = []

    class Spy(Toy):
        def forward(self, z, index=None):
            seen.append(index)
            return f(z, index)

    spy = Spy()
    _, solution = DEQ(max_iter=60, stop=Stop(tol=1e-8))(spy, spy.z0, compact=True)
    assert solution.converged.all()
    assert any(index is not None and index.tolist() == [1, 2] for index in seen)


def saved_bytes(run):
    """Return the bytes of distinct storages saved for the backward pass while ``run`` makes a state."""
    storages = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        state = run()
    return sum(storages.values()), state


@pytest.mark.parametrize("backward", ["phantom", "implicit"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_check_07_memory_does_not_grow_with_steps(backward, graph):
    f = Toy(size=200)
    sizes = []
    for steps in (6, 36):
        layer = DEQ(
            backward={"name": backward},
            max_iter=steps,
            stop=Stop(tol=0),
            correction=Correction(n=3 if graph == "sliced" else 1, graph=graph),
        )
        sizes.append(saved_bytes(lambda layer=layer: layer(f, f.z0))[0])
    assert abs(sizes[1] - sizes[0]) <= 0.01 * sizes[0]

    def unrolled(steps):
        z = f.z0
        for _ in range(steps):
            z = f(z)
        return z

    short, long, longer = (saved_bytes(lambda n=n: unrolled(n))[0] for n in (6, 36, 66))
    assert longer - long == long - short > 0


def test_is_built_from_options_and_refuses_bad_ones():
    layer = DEQ(solver={"name": "broyden", "beta": 0.5}, backward={"name": "implicit", "max_products": 9})
    assert layer.solver.beta == 0.5 and layer.rule.max_products == 9
    assert isinstance(DEQ().solver, Anderson) and isinstance(DEQ().rule, Phantom)
    for options, message in (
        ({"solver": {"name": "andersen"}}, r"solver\.name.*anderson"),
        ({"solver": {"name": "anderson", "memry": 3}}, r"solver\.memry.*memory"),
        ({"backward": {"name": "phantom", "steps": 0}}, r"backward\.steps"),
        ({"max_iter": 0}, "max_iter"),
        ({"max_iter": 2, "correction": Correction(n=3)}, "correction"),
    ):
        with pytest.raises(ValueError, match=message):
            DEQ(**options)


def test_has_no_state_and_can_be_copied():
    layer = DEQ(backward={"name": "implicit"}, correction=Correction(n=2))
    f = Toy()
    states, _ = layer(f, f.z0)
    states[-1][0].sum().backward()
    twin = copy.deepcopy(layer)
    assert not layer.state_dict() and not list(layer.parameters())
    torch.testing.assert_close(twin(f, f.z0)[0][-1], states[-1])
