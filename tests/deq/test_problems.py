"""Equilibria of explicit arguments: every transform, every order, and what is refused."""

import logging
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from sevenfold.deq import DEQ, SOLVERS, Implicit, NotConverged, PreflightError, Stop, transforms
from sevenfold.deq.components import make_solver
from sevenfold.deq.problems import fixed_point, minimize, root
from sevenfold.errors import ConfigError, InputError
from sevenfold.testing.equilibria import (
    F64,
    PROBLEMS,
    TRANSFORMS,
    Problem,
    Solve,
    flat,
    normal,
    number,
    ones,
    relative_error,
    rows,
    scaled,
    stack,
)

# torch's own rules of forward mode use its deprecated scripts.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
func = torch.func
TIGHT: dict[str, Any] = {"max_iter": 300, "stop": {"tol": 1e-13}}


def solver_of(problem: Problem, solver: str = "anderson") -> Solve:
    def solve(*args: Tensor) -> Any:
        rule = Implicit(tol=1e-13, max_products=300)
        options = {**TIGHT, "solver": make_solver({"name": solver}), "batched": problem.batched}
        return fixed_point(problem.f, problem.z0, args, adjoint=rule, **options)[0]

    return solve


def check(problem: Problem, transform: str, solver: str = "anderson") -> None:
    w, x = problem.args
    t = normal(*w.shape, name=9)
    found = TRANSFORMS[transform](solver_of(problem, solver), w, x, t)
    expected = TRANSFORMS[transform](problem.solution, w, x, t)
    assert relative_error(found, expected) <= 1e-10


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_transform_is_exact_with_every_solver(solver: str, transform: str) -> None:
    check(rows(), transform, solver)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", [name for name in PROBLEMS if name != "rows"])
def test_every_transform_is_exact_on_every_kind_of_state(name: str, transform: str) -> None:
    check(PROBLEMS[name](), transform)


@pytest.mark.parametrize("nested", [True, False])
def test_three_orders_of_a_closed_form(nested: bool) -> None:
    """z = w z + 1 is 1 / (1 - w): derivatives 4, 16, 96 at 1/2; 8 without z*(w)."""
    rule = Implicit(tol=1e-14)

    def solution(w: Tensor) -> Tensor:
        z0 = torch.zeros(1, 1, dtype=F64)
        return fixed_point(lambda z, w: w * z + 1, z0, (w,), adjoint=rule, **TIGHT)[0].sum()

    w = torch.tensor(0.5, dtype=F64)
    if nested:
        first = func.grad(solution)
        found = [d(w).item() for d in (first, func.grad(first), func.grad(func.grad(first)))]
    else:
        w.requires_grad_()
        found, value = [], solution(w)
        for _ in range(3):
            (value,) = torch.autograd.grad(value, w, create_graph=True)
            found.append(value.item())
    assert found == pytest.approx([4, 16, 96], rel=1e-9)


def test_vmap_stops_every_set_by_itself() -> None:
    problem, calls = rows(), 0

    def counted(z: Tensor, w: Tensor, x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return problem.f(z, w, x)

    def solve(w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z, record = fixed_point(
            counted, problem.z0, (w, problem.args[1]), solver={"name": "fixed_point"}, max_iter=2000,
            stop={"tol": 1e-8}, check=False,
        )  # fmt: skip
        return z, record.steps, record.status

    sets = torch.stack([problem.args[0] / 0.6 * radius for radius in (0.2, 0.5, 0.8, 0.95, 0.99)])
    together = func.vmap(solve)(sets)
    most, calls = calls, 0
    alone = [solve(w) for w in sets]
    for i, each in enumerate(alone):
        torch.testing.assert_close(together[0][i], each[0], rtol=0, atol=1e-12)
        assert torch.equal(together[1][i], each[1]) and torch.equal(together[2][i], each[2])
    assert most < 1.2 * max(int(each[1].max()) for each in alone)


def test_root_and_minimum_have_the_derivatives_of_their_closed_forms() -> None:
    x = torch.tensor([[1.0], [2.0], [10.0]], dtype=F64)
    rule = Implicit(tol=1e-13)

    def cubic(x: Tensor) -> Tensor:
        z0 = torch.ones(3, 1, dtype=F64)
        return root(lambda z, x: z**3 + z - x, z0, (x,), step=0.05, adjoint=rule, **TIGHT)[0]

    z = cubic(x)
    torch.testing.assert_close(z**3 + z, x, rtol=1e-10, atol=1e-10)
    slope = func.jvp(cubic, (x,), (torch.ones_like(x),))[1]
    torch.testing.assert_close(slope, 1 / (3 * z**2 + 1), rtol=1e-9, atol=0)
    design, target = normal(30, 5, name=1), normal(30, name=2)

    def fitted(ridge: Tensor) -> Tensor:
        def loss(z: Tensor, ridge: Tensor) -> Tensor:
            return (design @ z - target).square().mean() + ridge * z.square().sum()

        start = torch.zeros(5, dtype=F64)
        by_cg = Implicit(adjoint={"name": "cg"}, tol=1e-13)
        return minimize(loss, start, (ridge,), step=0.2, batched=False, adjoint=by_cg, **TIGHT)[0]

    def exact(ridge: Tensor) -> Tensor:
        return torch.linalg.solve(
            design.T @ design / 30 + ridge * torch.eye(5, dtype=F64), design.T @ target / 30
        )

    ridge = torch.tensor(0.3, dtype=F64)
    for transform in (lambda s: s(ridge), func.jacfwd, func.hessian):
        found, expected = (transform(s) for s in (fitted, exact))
        found, expected = (v(ridge) if callable(v) else v for v in (found, expected))
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


def test_a_module_brings_its_parameters_and_a_dictionary_its_structure() -> None:
    block = torch.nn.Linear(6, 6, dtype=F64)
    torch.nn.init.normal_(block.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    z, _ = fixed_point(block, torch.zeros(2, 6, dtype=F64), adjoint=Implicit(tol=1e-13), **TIGHT)
    exact = torch.linalg.solve(torch.eye(6, dtype=F64) - block.weight, block.bias)
    torch.testing.assert_close(z, exact.expand(2, 6), rtol=1e-9, atol=1e-12)
    found = torch.autograd.grad(z.sum(), list(block.parameters()))
    expected = torch.autograd.grad(exact.sum() * 2, list(block.parameters()))
    assert relative_error(found, expected) < 1e-9


def memory_of(width: int, steps: int) -> int:
    """Return bytes saved between the passes by a solve whose f has a hidden layer of that width."""
    inside, outside = (0.1 * normal(width, 16, name=i) / width**0.5 for i in (1, 2))

    def f(z: Tensor, a: Tensor, b: Tensor, x: Tensor) -> Tensor:
        return torch.tanh(z @ a.T) @ b + x

    leaves = [v.requires_grad_() for v in (inside, outside, normal(32, 16, name=3))]
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        z, _ = fixed_point(f, torch.zeros(32, 16, dtype=F64), leaves, max_iter=steps, stop={"tol": 0.0})
    assert z.requires_grad
    return sum(saved.values()) - sum(leaf.untyped_storage().nbytes() for leaf in leaves)


def test_between_the_passes_only_state_and_arguments_stay() -> None:
    state = 32 * 16 * 8
    assert memory_of(160, 5) <= 2.1 * state and memory_of(160, 25) == memory_of(160, 5) == memory_of(640, 5)


def test_what_cannot_be_right_is_refused_in_one_line() -> None:
    problem = rows()
    w, x = problem.args
    solve = solver_of(problem)

    def closed(w: Tensor, x: Tensor) -> Tensor:
        return fixed_point(lambda z, x: problem.f(z, w, x), problem.z0, (x,))[0].sum()

    def of_closure(w: Tensor) -> Tensor:
        return fixed_point(lambda z: problem.f(z, w, x), problem.z0)[0].sum()

    leaf = w.clone().requires_grad_()
    refusals: list[tuple[type[Exception], str, Callable[[], Any]]] = [
        (InputError, r"jacfwd\(jacrev", lambda: func.jvp(
            lambda w: func.jvp(lambda w: number(solve, w, x), (w,), (w,))[1], (w,), (w,))),
        (InputError, r"jacfwd\(jacrev", lambda: func.jacfwd(func.jacfwd(scaled(solve, w, x)))(ones(w))),
        (InputError, "jacrev", lambda: torch.autograd.grad(
            solve(leaf, x), leaf, torch.ones(2, 3, 8, dtype=F64), is_grads_batched=True)),
        (InputError, "jacrev", lambda: torch.autograd.functional.jacobian(
            lambda w: solve(w, x), w, vectorize=True)),
        (PreflightError, "outside args", lambda: closed(leaf, x)),
        (PreflightError, "outside args", lambda: func.grad(closed)(w, x)),
        (PreflightError, "outside args", lambda: func.jvp(lambda w: closed(w, x), (w,), (w,))),
        (PreflightError, "outside args", lambda: func.vmap(lambda w: closed(w, x))(stack(w))),
        (InputError, "outside args", lambda: func.grad(of_closure)(w)),
        (NotImplementedError, "outside args", lambda: torch.autograd.grad(
            of_closure(leaf), leaf, create_graph=True)),
        (ConfigError, "symmetric", lambda: torch.autograd.grad(
            fixed_point(problem.f, problem.z0, (leaf, x), adjoint={"name": "cg"})[0].sum(), leaf)),
        (PreflightError, "batch of scalars", lambda: fixed_point(lambda z, w: z, torch.zeros(4), (w,))),
        (PreflightError, r"\['h'\]: \(4, 6\) given, \(4, 7\)", lambda: fixed_point(
            lambda z, w: {"h": torch.nn.functional.pad(z["h"], (0, 1))}, {"h": torch.zeros(4, 6)}, (w,))),
        (PreflightError, "structure", lambda: fixed_point(lambda z, w: (z,), torch.zeros(4, 6), (w,))),
        (InputError, "step is nan", lambda: root(problem.f, problem.z0, (w, x), step=float("nan"))),
        (InputError, "step is -0.1", lambda: minimize(problem.f, problem.z0, (w, x), step=-0.1)),
        (ValueError, r"stop\.tol", lambda: fixed_point(problem.f, problem.z0, (w, x), stop={"tol": -1.0})),
    ]  # fmt: skip
    for kind, message, call in refusals:
        with pytest.raises(kind, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("closure", [False, True])
def test_check_19_missed_tolerances_are_reported_once_or_raised(
    caplog: pytest.LogCaptureFixture, closure: bool
) -> None:
    problem = rows(0.99)
    leaf = problem.args[0].clone().requires_grad_()

    def train(layer: DEQ) -> None:
        if closure:
            states, _ = layer(lambda z: (problem.f(z[0], leaf, problem.args[1]),), (problem.z0,))
            states[-1][0].sum().backward()
        else:
            states, _ = layer(problem.f, problem.z0, (leaf, problem.args[1]))
            states[-1].sum().backward()

    tight = Stop(tol=1e-10)
    layer = DEQ(backward=Implicit(max_products=2), max_iter=200, stop=tight)
    with caplog.at_level(logging.WARNING):
        train(layer)
        train(layer)
    assert caplog.text.count("the backward solve failed") == 1 and "residual" in caplog.text
    with pytest.raises(NotConverged, match="backward"):
        train(DEQ(backward=Implicit(max_products=2, strict=True), max_iter=200, stop=tight))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        train(DEQ(backward=Implicit(max_products=200), max_iter=3, stop=tight))
        train(DEQ(backward={"name": "phantom"}, max_iter=3, stop=tight))
    assert caplog.text.count("the forward solve did not reach") == 1
    with pytest.raises(NotConverged, match="forward") as caught:
        train(DEQ(backward=Implicit(strict=True), max_iter=3, stop=tight))
    assert caught.value.solution is not None and not caught.value.solution.converged.any()


def test_a_solve_without_gradient_has_no_gradient_to_warn_of(caplog: pytest.LogCaptureFixture) -> None:
    problem = rows(0.99)
    with caplog.at_level(logging.WARNING):
        fixed_point(problem.f, problem.z0, problem.args, max_iter=2)
        with torch.no_grad():
            leaf = problem.args[0].clone().requires_grad_()
            fixed_point(problem.f, problem.z0, (leaf, problem.args[1]), max_iter=2)
        assert not caplog.text
        fixed_point(problem.f, problem.z0, (leaf, problem.args[1]), max_iter=2)
    assert caplog.text.count("the forward solve did not reach") == 1
    with pytest.raises(NotConverged), torch.no_grad():
        fixed_point(problem.f, problem.z0, problem.args, max_iter=2, adjoint=Implicit(strict=True))


@pytest.mark.parametrize(
    "name", ["peek_interpreter_stack", "get_interpreter_stack", "is_legacy_batchedtensor", "TransformType"]
)
def test_check_25_without_a_private_name_of_torch_plain_gradients_stay_right(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = {key: value for key, value in vars(torch._C._functorch).items() if key != name}
    monkeypatch.setattr(transforms, "_FUNCTORCH", SimpleNamespace(**shown))
    problem = rows()
    leaf = problem.args[0].clone().requires_grad_()
    solve = partial(
        fixed_point, problem.f, problem.z0, stop=Stop(tol=1e-13), max_iter=200, adjoint=Implicit(tol=1e-12)
    )
    (gradient,) = torch.autograd.grad(solve((leaf, problem.args[1]))[0].sum(), leaf)
    (expected,) = torch.autograd.grad(problem.solution(leaf, problem.args[1]).sum(), leaf)
    assert relative_error(gradient, expected) <= 1e-9


def test_evaluation_mode_has_the_gradient_of_training_mode() -> None:
    problem = rows()
    gradients = []
    for training in (True, False):
        leaf = problem.args[0].clone().requires_grad_()
        layer = DEQ(backward=Implicit(tol=1e-13), max_iter=300, stop=Stop(tol=1e-13)).train(training)
        states, _ = layer(lambda z, w=leaf: (problem.f(z[0], w, problem.args[1]),), (problem.z0,))
        gradients.append(torch.autograd.grad(states[-1][0].sum(), leaf)[0])
        with torch.no_grad():
            assert not layer(problem.f, problem.z0, (leaf, problem.args[1]))[0][-1].requires_grad
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("rule", ["implicit", "phantom", "unrolled", "reversible"])
def test_a_layer_takes_arguments_and_structures_under_every_rule(rule: str) -> None:
    problem = PROBLEMS["convolution"]()
    options = {"unrolled": {"steps": 40}, "reversible": {"steps": 20}, "phantom": {"steps": 40}}
    layer = DEQ(backward={"name": rule, **options.get(rule, {})}, max_iter=100, stop=Stop(tol=1e-10))
    leaf = problem.args[0].clone().requires_grad_()
    states, record = layer(problem.f, problem.z0, (leaf, problem.args[1]))
    (found,) = torch.autograd.grad(flat(states[-1]).sum(), leaf)
    (expected,) = torch.autograd.grad(flat(problem.solution(leaf, problem.args[1])).sum(), leaf)
    assert set(states[-1]) == {"wide", "coarse"} and len(record.steps) == 2
    assert relative_error(found, expected) < 1e-3
