"""The static form of a solve gives the driver's numbers, and can be compiled and exported."""

import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sevenfold.deq import DEQ, Anderson, Broyden, FixedPoint, Implicit, Solver, Stop, fixed_point, solve
from sevenfold.deq.static import ENDLESS, solve_static
from sevenfold.deq.tree import Tree
from sevenfold.errors import ConfigError
from sevenfold.testing.equilibria import PROBLEMS

STATIC = {
    "plain": FixedPoint(),
    "damped": FixedPoint(damping=0.7),
    "anderson": Anderson(),
    "anderson, mixed": Anderson(memory=3, beta=0.8),
    "anderson, restarts": Anderson(growth=1.01),
}


@pytest.fixture(params=["rows", "convolution"])
def problem(request):
    case = PROBLEMS[request.param]()
    tree = Tree.of(case.z0)
    return lambda z: tree.leaves(case.f(tree.build(z), *case.args)), tree.start


@pytest.mark.parametrize("loop", ["unrolled", "while"])
@pytest.mark.parametrize("name", STATIC)
def test_check_06_values_and_steps_are_the_drivers(problem, name, loop):
    f, z0 = problem
    solver = STATIC[name]
    for stop, steps in ((None, 9), (Stop(tol=1e-8), 40), (Stop(tol=1e-3, patience=2), 40)):
        expected = solve(f, z0, solver, max_iter=steps, stop=stop or ENDLESS)
        result = solve_static(f, z0, solver, steps=steps, stop=stop, loop=loop)
        for a, b in zip(result.value, expected.value, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
        for trace in ("steps", "status", "step_of_best"):
            assert torch.equal(getattr(result, trace), getattr(expected, trace))
        taken = len(expected.trace_rel)
        torch.testing.assert_close(
            result.trace_rel[:taken], expected.trace_rel, rtol=1e-6, atol=1e-13, equal_nan=True
        )
        assert result.trace_rel[taken:].isnan().all()


@pytest.mark.parametrize("name", STATIC)
def test_check_06_single_precision_is_as_close_as_it_can_be(problem, name):
    f, z0 = problem
    solver = STATIC[name]

    def single(z):
        return tuple(part.float() for part in f(tuple(part.double() for part in z)))

    start = tuple(part.float() for part in z0)
    for steps, stop in ((6, None), (30, Stop(tol=1e-4))):
        expected = solve(single, start, solver, max_iter=steps, stop=stop or ENDLESS)
        result = solve_static(single, start, solver, steps=steps, stop=stop)
        assert [part.dtype for part in result.value] == [torch.float32] * len(start)
        for a, b in zip(result.value, expected.value, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_states_on_the_way_and_the_last_one_are_recorded(problem):
    f, z0 = problem
    options = {"stop": Stop(tol=1e-6), "indexing": [2, 5], "returned": "last"}
    expected = solve(f, z0, Anderson(), max_iter=8, **options)
    result = solve_static(f, z0, Anderson(), steps=8, **options)
    assert len(result.indexed) == 2
    for a, b in zip((*result.indexed, result.value), (*expected.indexed, expected.value), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="loop 'while' records no states on its way"):
        solve_static(f, z0, Anderson(), steps=8, indexing=[2], loop="while")


def test_rows_that_fail_have_the_drivers_statuses():
    slope = torch.tensor([[0.5], [1.5], [float("nan")], [-1.0]], dtype=torch.float64)
    stop = Stop(tol=1e-6, divergence=50, patience=4)

    def f(z):
        return (slope * z[0] + 1,)

    z0 = (torch.zeros(4, 1, dtype=torch.float64),)
    expected = solve(f, z0, FixedPoint(), max_iter=30, stop=stop)
    result = solve_static(f, z0, FixedPoint(), steps=30, stop=stop)
    assert [name for name, count in expected.counts().items() if count] == [
        "converged", "stalled", "diverged", "nonfinite"
    ]  # fmt: skip
    assert torch.equal(result.status, expected.status) and torch.equal(result.steps, expected.steps)
    torch.testing.assert_close(result.value[0], expected.value[0])
    torch.testing.assert_close(result.residual_abs, expected.residual_abs)


def test_other_solvers_name_those_that_have_a_static_form(problem):
    with pytest.raises(NotImplementedError, match="Broyden has no form.*fixed_point or anderson"):
        solve_static(*problem, Broyden(), steps=3)


def test_words_and_numbers_that_nothing_follows_are_refused(problem):
    f, z0 = problem
    for options, message in (
        ({"steps": 0}, "steps is 0; expected at least 1"),
        ({"steps": 3, "loop": "whlie"}, "loop is 'whlie'; expected 'unrolled' or 'while'"),
        ({"steps": 3, "indexing": [4]}, "expected increasing steps between 1 and 3"),
        ({"steps": 3, "returned": "first"}, "expected 'best' or 'last'"),
    ):
        with pytest.raises(ValueError, match=message):
            solve_static(f, z0, FixedPoint(), **options)
    with pytest.raises(ConfigError, match="static.*is 'whlie'; expected false, true or 'while'"):
        fixed_point(lambda z: 0.5 * z, torch.zeros(2, 2), static="whlie")
    with pytest.raises(ConfigError, match="static"):
        DEQ(static="whlie")


def test_gradients_of_a_static_solve_are_the_implicit_ones():
    case = PROBLEMS["rows"]()
    w, x = case.args
    gradients = []
    for static in (False, True, "while"):
        leaf = w.clone().requires_grad_()
        rule = Implicit(tol=1e-12, max_products=200)
        z, _ = fixed_point(
            case.f, case.z0, (leaf, x), adjoint=rule, stop=Stop(tol=1e-12), max_iter=60, static=static
        )
        gradients += torch.autograd.grad(z.square().sum(), leaf)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradients[2], gradients[0], rtol=1e-9, atol=1e-12)


class Net(nn.Module):
    """A layer whose map contracts by one half."""

    def __init__(self, solver: Solver, rule: str = "phantom", **options: object) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.map, self.inlet = nn.Linear(6, 6), nn.Linear(3, 6)
        nn.init.orthogonal_(self.map.weight, 0.5)
        self.deq = DEQ(solver=solver, backward={"name": rule, **options}, max_iter=6)

    def forward(self, x: Tensor) -> Tensor:
        u = self.inlet(x)
        states, _ = self.deq(lambda z: (torch.tanh(self.map(z[0]) + u),), (torch.zeros_like(u),))
        return states[-1][0]


def trained(net: Callable[[Tensor], Tensor], owner: nn.Module, x: Tensor) -> list[Tensor]:
    owner.zero_grad()
    loss = net(x).square().mean()
    loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in owner.parameters())]


@pytest.fixture
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize(
    ("solver", "rule"),
    [
        (FixedPoint(), {"rule": "phantom", "steps": 2}),
        pytest.param(FixedPoint(), {"rule": "unrolled", "steps": 3}, marks=pytest.mark.slow),
        pytest.param(Anderson(memory=3), {"rule": "phantom"}, marks=pytest.mark.slow),
    ],
)
def test_check_07_a_layer_is_compiled_whole(solver, rule):
    net, x = Net(solver, **rule).train(), torch.randn(4, 3)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager", dynamic=True)
    for rows in (4, 3):
        for a, b in zip(trained(compiled, net, x[:rows]), trained(net, net, x[:rows]), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("fresh_compiler")
def test_check_07_a_layer_with_arguments_is_compiled_without_gradient():
    case = PROBLEMS["rows"]()
    deq = DEQ(solver=FixedPoint(), max_iter=12, static="while").eval()

    def run(w: Tensor, x: Tensor) -> Tensor:
        return deq(case.f, case.z0, (w, x))[0][-1]

    with torch.no_grad():
        result = torch.compile(run, fullgraph=True, backend="eager")(*case.args)
        torch.testing.assert_close(result, run(*case.args), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # the compiler looks at it
def test_check_04_the_implicit_rule_breaks_a_graph_and_names_the_rules_that_do_not():
    net, x = Net(FixedPoint(), rule="implicit").train(), torch.randn(4, 3)
    whole = torch.compile(net, fullgraph=True, backend="eager")
    with pytest.raises(torch._dynamo.exc.Unsupported, match="train by the rule phantom or unrolled"):
        whole(x)
    broken = torch.compile(net, backend="eager")
    for a, b in zip(trained(broken, net, x), trained(net, net, x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.slow
@pytest.mark.parametrize("rule", ["implicit", "phantom"])
def test_check_07_a_layer_is_exported_for_any_number_of_rows(rule):
    net, x = Net(Anderson(memory=3), rule=rule).eval(), torch.randn(4, 3)
    rows = torch.export.Dim("rows")
    program = torch.export.export(net, (x,), dynamic_shapes=({0: rows},))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    again = torch.export.load(file).module()
    for part in (x, x[:1], torch.randn(7, 3)):
        torch.testing.assert_close(again(part), net(part), rtol=0, atol=1e-5)


@pytest.mark.usefixtures("fresh_compiler")
def test_check_07_a_loop_in_the_graph_ends_with_the_last_row():
    case = PROBLEMS["rows"]()

    def run(w: Tensor, solver: Solver, stop: Stop) -> tuple[Tensor, Tensor, Tensor]:
        z, record = fixed_point(case.f, case.z0, (w, case.args[1]), solver=solver, stop=stop, static="while")
        return z, record.steps, record.trace_rel

    whole = torch.compile(run, fullgraph=True, backend="eager")
    # Twice with other numbers: a compiler takes those that change for inputs of the graph.
    for solver, stop in ((FixedPoint(), Stop(tol=1e-5)), (FixedPoint(damping=0.7), Stop(tol=1e-6))):
        expected, record = fixed_point(case.f, case.z0, case.args, solver=solver, stop=stop)
        with torch.no_grad():
            z, steps, trace = whole(case.args[0], solver, stop)
        torch.testing.assert_close(z, expected, rtol=0, atol=1e-12)
        assert torch.equal(steps, record.steps)
        evaluations = int((~trace.isnan()).any(1).sum())
        assert evaluations == int(record.steps.max()) < len(trace)


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_compiler")
def test_check_07_a_loop_with_anderson_is_exported():
    case = PROBLEMS["rows"]()

    class Whole(nn.Module):
        def forward(self, w: Tensor, x: Tensor) -> Tensor:
            z, _ = fixed_point(case.f, case.z0, (w, x), stop=Stop(tol=1e-10), static="while")
            return z

    with torch.no_grad():
        program = torch.export.export(Whole(), case.args).module()
        expected, _ = fixed_point(case.f, case.z0, case.args, stop=Stop(tol=1e-10))
        torch.testing.assert_close(program(*case.args), expected, rtol=0, atol=1e-12)
