"""What a look at f finds, what it lets pass, and what it costs."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sevenfold.deq import DEQ, Implicit, PreflightError, Stop, examine, preflight
from sevenfold.deq.problems import fixed_point
from sevenfold.testing.equilibria import F64, contraction, graph, normal, relative_error, rows

WIDTH = 6


def norm(layer: nn.Module, *, training: bool) -> Callable[[Tensor, Tensor], Tensor]:
    layer = layer.train(training)
    return lambda z, x: 0.5 * layer.to(z.dtype)(z) + x


def attention(z: Tensor, x: Tensor) -> Tensor:
    return 0.5 * torch.softmax(z @ z.T, dim=1) @ z + x


def neighbors(z: Tensor, x: Tensor) -> Tensor:
    return 0.5 * (z + z.roll(1, 0)) / 2 + x


def counter() -> Callable[[Tensor, Tensor], Tensor]:
    calls = 0

    def f(z: Tensor, x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return 0.5 * z + x / calls

    return f


def spectral(z: Tensor, x: Tensor) -> Tensor:
    weight = contraction(WIDTH, 0.9).to(z.dtype)
    return torch.tanh(z @ weight.T) + x


MAPS: dict[str, tuple[str | None, Callable[[], Callable[[Tensor, Tensor], Tensor]]]] = {
    "mul_": ("in_place", lambda: lambda z, x: z.mul_(0.5).add_(x)),
    "relu_": ("in_place", lambda: lambda z, x: 0.5 * torch.relu_(z) + x),
    "batch norm, training": (
        "coupled", lambda: norm(nn.BatchNorm1d(WIDTH, affine=False, track_running_stats=False), training=True)
    ),
    "batch mean": ("coupled", lambda: lambda z, x: 0.5 * (z - z.mean(0)) + x),
    "graph": ("coupled", lambda: neighbors),
    "attention": ("coupled", lambda: attention),
    "norm of all rows": ("coupled", lambda: lambda z, x: 0.5 * z / (1 + z.norm()) + x),
    "dropout": ("random", lambda: lambda z, x: 0.5 * torch.dropout(z, 0.5, True) + x),
    "counter": ("random", counter),
    "plain": (None, lambda: lambda z, x: 0.5 * torch.tanh(z) + x),
    "layer norm": (None, lambda: norm(nn.LayerNorm(WIDTH, elementwise_affine=False), training=True)),
    "batch norm, evaluation": (None, lambda: norm(nn.BatchNorm1d(WIDTH, affine=False), training=False)),
    "spectral norm": (None, lambda: spectral),
    "in place on its own": (None, lambda: lambda z, x: (0.5 * z).add_(x).tanh_()),
}  # fmt: skip


def solve(f: Callable[..., Any], batch: int, kind: torch.dtype, **options: Any) -> Any:
    preflight.passed.clear()
    x = normal(batch, WIDTH, name=batch).to(kind)
    return fixed_point(f, torch.zeros(batch, WIDTH, dtype=kind), (x,), max_iter=5, **options)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [2, 32, 200])
@pytest.mark.parametrize("name", MAPS)
def test_every_map_gets_its_verdict(name: str, batch: int, kind: torch.dtype) -> None:
    finding, make = MAPS[name]
    if finding is None:
        solve(make(), batch, kind)
        return
    with pytest.raises(PreflightError) as caught:
        solve(make(), batch, kind)
    assert caught.value.finding == finding and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name, (finding, _) in MAPS.items() if finding is None])
def test_harmless_maps_pass_at_twenty_starts_in_every_precision(name: str) -> None:
    for batch in (2, 32, 200):
        for kind in (torch.float32, torch.float64, torch.bfloat16):
            for seed in range(20):
                preflight.passed.clear()
                z0 = normal(batch, WIDTH, name=100 + seed).to(kind)
                x = normal(batch, WIDTH, name=seed).to(kind)
                f = MAPS[name][1]()
                preflight.check_map(lambda z, f=f, x=x: (f(z[0], x),), (z0,), batched=True, key=f)


def test_one_row_alone_is_only_asked_to_repeat_itself() -> None:
    solve(MAPS["batch mean"][1](), 1, F64)
    with pytest.raises(PreflightError, match="same point"):
        solve(MAPS["dropout"][1](), 1, F64)


def test_nodes_as_rows_are_refused_and_one_whole_state_is_exact() -> None:
    """With nodes as rows the gradient of a loss on a few nodes would be wrong by half, and "converged"."""
    problem = graph(200)
    leaf = problem.args[0].clone().requires_grad_()
    tight: dict[str, Any] = {"max_iter": 300, "stop": Stop(tol=1e-13), "adjoint": Implicit(tol=1e-13)}
    with pytest.raises(PreflightError, match="batched=False"):
        fixed_point(problem.f, problem.z0, (leaf, problem.args[1]), **tight)
    gradients = {}
    for batched in (True, False):
        z, record = fixed_point(
            problem.f, problem.z0, (leaf, problem.args[1]), batched=batched, check=False, **tight
        )
        assert record.converged.all()
        gradients[batched] = torch.autograd.grad(z[:10].sum(), leaf)[0]
    expected = torch.autograd.grad(problem.solution(leaf, problem.args[1])[:10].sum(), leaf)[0]
    assert relative_error(gradients[False], expected) <= 1e-9
    assert relative_error(gradients[True], expected) > 0.1  # what the check is for


def test_every_coupled_pair_is_found_by_the_thorough_form() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        one, other = torch.randperm(200, generator=generator)[:2].tolist()
        evaluations = 0

        def f(z: Tensor, x: Tensor, one: int = one, other: int = other) -> Tensor:
            nonlocal evaluations
            evaluations += 1
            extra = torch.zeros_like(z)
            extra[one] = 0.1 * z[other]
            return 0.5 * z + x + extra

        report = examine(f, torch.zeros(200, 2, dtype=F64), (torch.ones(200, 2, dtype=F64),))
        assert "influence each other" in report.outcomes["rows"]
        assert evaluations <= 1 + 1 + 16 + 1  # the point, its repetition, the splits, and why they differ


def test_the_look_costs_two_evaluations_once_and_changes_nothing() -> None:
    problem, calls = rows(), 0

    def counted(z: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        nonlocal calls
        calls += 1
        return (problem.f(z[0], *problem.args),)

    found = {}
    for check in (False, True):
        layer = DEQ(max_iter=10, stop=Stop(tol=0.0), check=check)
        counts = []
        for _ in range(2):
            calls = 0
            found[check] = layer(counted, (problem.z0,))[0][-1][0]
            counts.append(calls)
        assert counts == ([13, 11] if check else [11, 11])  # with the tracked step of the phantom rule
    assert torch.equal(found[True], found[False])


class Wrong(torch.autograd.Function):
    """A custom function whose gradient is a tenth too small."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return 0.9 * g


def test_an_examination_says_ok_or_what_to_do() -> None:
    problem = rows()
    w, x = problem.args
    good = examine(problem.f, problem.z0, (w, x))
    assert good.ok and len(str(good).splitlines()) == 8
    wrong = examine(lambda z, w, x: Wrong.apply(problem.f(z, w, x)), problem.z0, (w, x))
    assert [name for name, text in wrong.outcomes.items() if not text.startswith("ok")] == ["derivative"]
    steep = examine(
        lambda z, w, x: 4 * z @ w.T + x @ x.new_ones(5, 8), problem.z0, (w, x), solver={"name": "broyden"}
    )
    assert "above 1" in steep.outcomes["spectral radius"]
    lost = examine(
        lambda z, w, x: 4 * z @ w.T + x @ x.new_ones(5, 8), problem.z0, (w, x),
        solver={"name": "broyden"}, adjoint={"name": "fixed_point"},
    )  # fmt: skip
    assert "max_products" in lost.outcomes["adjoint"]
    batch_norm = nn.BatchNorm1d(8, affine=False, track_running_stats=False)
    for name, f in (
        ("rows", lambda z, w, x: problem.f(0.1 * batch_norm(z), w, x)),
        ("repeatable", lambda z, w, x: problem.f(torch.dropout(z, 0.5, True), w, x)),
        ("in place", lambda z, w, x: problem.f(torch.relu_(z), w, x)),
    ):
        report = examine(f, problem.z0, (w, x))
        said = [n for n, text in report.outcomes.items() if not text.startswith(("ok", "not tested"))]
        assert said == [name] and not report.ok


def test_a_passed_map_does_not_excuse_another() -> None:
    """One after another, without forgetting: same code or class, but other modules, modes or functions."""
    linear = nn.Linear(WIDTH, WIDTH, dtype=F64).requires_grad_(False)
    nn.init.constant_(linear.weight, 0.01)
    norm_layer = nn.BatchNorm1d(WIDTH, affine=False, dtype=F64).eval()
    x = normal(8, WIDTH)

    def apply(inner: Callable[[Tensor, Tensor], Tensor], z: Tensor, x: Tensor) -> Tensor:
        return inner(z, x)

    def closure(z: Tensor, x: Tensor) -> Tensor:
        return 0.3 * norm_layer(z) + x

    class Held:
        def __init__(self, inner: Callable[[Tensor, Tensor], Tensor]) -> None:
            self.inner = inner

        def __call__(self, z: Tensor, x: Tensor) -> Tensor:
            return self.inner(z, x)

    def fine(z: Tensor, x: Tensor) -> Tensor:
        return 0.5 * z + x

    def run(f: Any, args: tuple[Tensor, ...] = (x,)) -> None:
        fixed_point(f, torch.zeros(8, WIDTH, dtype=F64), args, max_iter=3)

    for good, bad in (
        (partial(apply, fine), partial(apply, neighbors)),
        (Held(fine), Held(neighbors)),
    ):
        run(good)
        with pytest.raises(PreflightError, match="influence each other"):
            run(bad)
    run(closure)
    norm_layer.train()
    with pytest.raises(PreflightError):
        run(closure)
    run(nn.Sequential(linear, nn.Tanh()), ())
    with pytest.raises(PreflightError, match="same point"):
        run(nn.Sequential(linear, nn.Dropout()), ())


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("rule", ["unrolled", "reversible"])
def test_rules_that_iterate_refuse_what_solvers_refuse(rule: str, explicit: bool) -> None:
    x = normal(8, WIDTH)
    layer = DEQ(backward={"name": rule}, stop=Stop(tol=1e-6))
    z0 = torch.zeros(8, WIDTH, dtype=F64)
    for name, (finding, make) in MAPS.items():
        if finding is None:
            continue
        f = make()
        with pytest.raises(PreflightError) as caught:
            if explicit:
                layer(f, z0, (x,))
            else:
                layer(lambda z, f=f: (f(z[0], x),), (z0,))
        assert caught.value.finding == finding, name
    assert not z0.any()


def test_a_map_that_is_not_finite_is_left_to_the_solver() -> None:
    x = torch.ones(4, WIDTH)
    _, record = fixed_point(lambda z, x: 0.5 * z + x / 0 - x / 0, torch.zeros(4, WIDTH), (x,))
    assert record.counts()["nonfinite"] == 4
