"""The driver, over all solvers of the table."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sevenfold.deq.anderson import Anderson
from sevenfold.deq.base import Measured, Status, Stop
from sevenfold.deq.broyden import Broyden
from sevenfold.deq.driver import solve
from sevenfold.deq.plain import FixedPoint
from sevenfold.deq.precision import precision_guard

TIGHT = Stop(tol=1e-10)


@pytest.mark.parametrize("kind", ["linear", "tanh"])
@pytest.mark.parametrize("size", [5, 64, 3000])
def test_finds_the_fixed_point(solver, kind, size, device):
    generator = torch.Generator().manual_seed(1)
    slope = torch.linspace(-0.8, 0.8, size, dtype=torch.float64, device=device)
    bias = torch.randn(3, size, generator=generator, dtype=torch.float64).to(device)
    squash = torch.tanh if kind == "tanh" else torch.nn.Identity()
    solution = solve(lambda z: (squash(slope * z[0] + bias),), (bias * 0,), solver, max_iter=200, stop=TIGHT)
    assert solution.converged.all()
    if kind == "linear":
        torch.testing.assert_close(solution.value[0], bias / (1 - slope), rtol=1e-8, atol=1e-8)
    residual = (squash(slope * solution.value[0] + bias) - solution.value[0]).norm(dim=1)
    assert (residual <= 1e-9 * bias.norm(dim=1)).all()


def mixed_batch(contraction):
    """Samples 1 and 4 are easy (done in two evaluations), the others of different difficulty."""
    problem = contraction(size=32, batch=6)
    scale = torch.tensor([1.0, 0.0, 0.1, 1.0, 0.0, 0.5], dtype=torch.float64)[:, None]

    def f(z, index=None):
        s = scale if index is None else scale[index]
        return (s * problem.f(z, index)[0] + (1 - s) * 0.3,)

    return f, problem.z0


@pytest.mark.parametrize("compact", [False, True])
def test_check_04_a_batch_is_solved_as_its_samples_alone(solver, contraction, compact):
    f, z0 = mixed_batch(contraction)
    batch = solve(f, z0, solver, max_iter=200, stop=Stop(tol=1e-9), compact=compact)
    for i in range(6):
        alone = solve(
            lambda z, i=i: f(z, torch.tensor([i])),
            (z0[0][i : i + 1],),
            solver,
            max_iter=200,
            stop=Stop(tol=1e-9),
        )
        assert batch.steps[i] == alone.steps[0]
        torch.testing.assert_close(batch.value[0][i], alone.value[0][0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("every", [1, 4])
def test_compaction_saves_evaluations_and_changes_nothing(solver, contraction, count, every):
    f, z0 = mixed_batch(contraction)
    plain, compacted = count(f), count(f)
    options = {"max_iter": 200, "stop": Stop(tol=1e-9), "check_every": every, "indexing": [3, 8, 40]}
    one = solve(lambda z: plain(z), z0, solver, **options)
    two = solve(compacted, z0, solver, **options, compact=True)
    assert compacted.samples < 0.8 * plain.samples
    torch.testing.assert_close(one.value, two.value, rtol=0, atol=1e-10)
    torch.testing.assert_close(one.indexed, two.indexed, rtol=0, atol=1e-10)
    torch.testing.assert_close(one.trace_abs, two.trace_abs, rtol=1e-4, atol=1e-12, equal_nan=True)
    for name in ("steps", "status", "step_of_best"):
        assert getattr(one, name).equal(getattr(two, name))


@pytest.mark.parametrize("compact", [False, True])
def test_results_do_not_depend_on_how_often_the_host_looks(solver, contraction, compact):
    f, z0 = mixed_batch(contraction)
    often, seldom = (
        solve(
            f, z0, solver, max_iter=60, stop=Stop(tol=1e-6), check_every=every, compact=compact, indexing=[5]
        )
        for every in (1, 7)
    )
    assert often.steps.equal(seldom.steps) and often.status.equal(seldom.status)
    torch.testing.assert_close(often.value, seldom.value, rtol=0, atol=1e-12)
    torch.testing.assert_close(often.indexed, seldom.indexed, rtol=0, atol=1e-12)
    torch.testing.assert_close(often.residual_abs, seldom.residual_abs, rtol=1e-6, atol=1e-15)


class HostReads(TorchDispatchMode):
    """Count the operations whose result the host has to wait for."""

    names = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        boolean_index = func.overloadpacket.__name__.startswith("index") and any(
            isinstance(i, torch.Tensor) and i.dtype == torch.bool
            for i in (args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else [])
        )
        self.count += func.overloadpacket.__name__ in self.names or boolean_index
        return func(*args, **(kwargs or {}))


def test_the_host_reads_the_device_only_when_it_checks(solver, contraction):
    problem = contraction(size=16)
    for check_every, most in ((8, 3), (1000, 0)):
        with HostReads() as reads:
            solution = solve(
                problem.f,
                problem.z0,
                solver,
                max_iter=24,
                stop=Stop(tol=0),
                check_every=check_every,
                indexing=[6],
            )
        assert len(solution.trace_abs) == 24
        assert reads.count <= most


def test_indexed_states_are_the_best_so_far_and_the_last_repeats(solver, contraction):
    problem = contraction(size=16)
    solution = solve(problem.f, problem.z0, solver, max_iter=90, stop=TIGHT, indexing=[1, 4, 89, 90])
    assert len(solution.indexed) == 4
    torch.testing.assert_close(solution.indexed[0], problem.f(problem.z0))
    short = solve(problem.f, problem.z0, solver, max_iter=4, stop=TIGHT)
    torch.testing.assert_close(solution.indexed[1], short.value)
    torch.testing.assert_close(solution.indexed[3], solution.value, rtol=0, atol=0)


def test_best_or_last():
    def f(z):  # an expansion: every step is worse than the one before
        return (3 * z[0] + 1,)

    z0 = (torch.zeros(2, 3, dtype=torch.float64),)
    best = solve(f, z0, FixedPoint(), max_iter=5, stop=Stop(mode="abs"))
    last = solve(f, z0, FixedPoint(), max_iter=5, stop=Stop(mode="abs"), returned="last", indexing=[2])
    assert best.value[0].unique().tolist() == [1.0]
    assert best.step_of_best.tolist() == [1, 1]
    assert last.value[0].unique().tolist() == [121.0]
    assert last.indexed[0][0].unique().tolist() == [4.0]
    torch.testing.assert_close(last.residual_abs, torch.full((2,), 81 * 3**0.5, dtype=torch.float64))
    torch.testing.assert_close(best.residual_abs, torch.full((2,), 3**0.5, dtype=torch.float64))


@pytest.mark.parametrize("size", [16, 2050])
def test_traces_are_the_plain_definitions(solver, size):
    slope = torch.linspace(-0.9, 0.9, size, dtype=torch.float64)
    seen = []

    def f(z):
        seen.append((z[0].clone(), torch.sin(slope * z[0] + 1)))
        return (seen[-1][1],)

    solution = solve(f, (torch.zeros(3, size, dtype=torch.float64),), solver, max_iter=6, stop=Stop(tol=0))
    for k, (z, fz) in enumerate(seen):
        residual = (fz - z).norm(dim=1)
        torch.testing.assert_close(solution.trace_abs[k], residual)
        torch.testing.assert_close(solution.trace_rel[k], residual / (fz.norm(dim=1) + 1e-8))
    torch.testing.assert_close(solution.residual_rel, solution.trace_rel.min(0).values)


@pytest.mark.parametrize("max_iter", [1, 2])
def test_check_05_very_short_solves(solver, contraction, count, max_iter):
    problem = contraction(size=8, batch=1)
    f = count(problem.f)
    solution = solve(f, problem.z0, solver, max_iter=max_iter)
    assert f.calls == max_iter and solution.steps.tolist() == [max_iter]
    expected = problem.z0
    for _ in range(max_iter):
        expected = problem.f(expected)
    torch.testing.assert_close(solution.value, expected)  # the first steps are plain ones; never z0


@pytest.mark.parametrize("mode", ["abs", "rel"])
def test_check_05_zero_residual_at_the_start(solver, mode):
    z0 = (torch.ones(3, 5),)
    solution = solve(lambda z: z, z0, solver, max_iter=9, stop=Stop(mode=mode))
    assert solution.converged.all() and solution.steps.tolist() == [1, 1, 1]
    torch.testing.assert_close(solution.value, z0)
    zero = solve(lambda z: z, (torch.zeros(2, 1),), solver, max_iter=9, stop=Stop(mode=mode, tol=0))
    assert zero.converged.all()


def test_check_05_singular_memory(solver):
    """Constant steps, then a two-cycle: all differences are parallel or zero."""
    drift = solve(lambda z: (z[0] + 1,), (torch.zeros(2, 4),), solver, max_iter=12)
    assert (drift.status == Status.max_iter).all() and drift.value[0].isfinite().all()
    cycle = solve(lambda z: (1 - z[0],), (torch.zeros(2, 4),), solver, max_iter=12)
    assert cycle.value[0].isfinite().all()
    if not isinstance(solver, FixedPoint):
        assert cycle.converged.all() and (cycle.value[0] - 0.5).abs().max() < 1e-3


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("compact", [False, True])
def test_check_05_nonfinite_f(solver, contraction, count, bad, compact):
    problem = contraction(size=16)
    breaks = torch.tensor([False, True, False, True])

    def broken(z, index=None):
        poison = breaks if index is None else breaks[index]
        assert z[0].isfinite().all(), "a broken sample must not be fed back to f"
        return (torch.where(poison[:, None] & (f.calls > 3), bad, problem.f(z, index)[0]),)

    f = count(broken)
    solution = solve(f, problem.z0, solver, max_iter=300, stop=TIGHT, compact=compact)
    assert [Status(code).name for code in solution.status.tolist()] == ["converged", "nonfinite"] * 2
    assert solution.steps[1] == 4
    assert solution.value[0].isfinite().all() and solution.residual_rel.isfinite().all()
    sound = solve(problem.f, problem.z0, solver, max_iter=3)
    torch.testing.assert_close(solution.value[0][1], sound.value[0][1])


def test_check_05_nonfinite_from_the_start_returns_z0(solver):
    z0 = (torch.ones(1, 2),)
    solution = solve(lambda z: (z[0] * torch.nan,), z0, solver, max_iter=5)
    assert solution.status.tolist() == [Status.nonfinite] and solution.step_of_best.tolist() == [0]
    assert solution.value[0].equal(z0[0]) and solution.residual_abs.isinf().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_check_05_low_precision_f(solver, contraction, dtype):
    """The state stays in its own precision and all solver arithmetic in float32, whatever f returns."""
    problem = contraction(size=32, dtype=torch.float32)

    def f(z):
        assert z[0].dtype == torch.float32
        return (problem.f(z)[0].to(dtype),)

    solution = solve(f, problem.z0, solver, max_iter=40, stop=Stop(tol=2e-3))
    exact = solve(problem.f, problem.z0, solver, max_iter=200, stop=Stop(tol=1e-6))
    assert solution.value[0].dtype == torch.float32 and solution.trace_abs.dtype == torch.float64
    assert (solution.value[0] - exact.value[0]).norm() < 0.05 * exact.value[0].norm()


def test_check_05_low_precision_state(solver, contraction):
    problem = contraction(size=32, radius=0.5, dtype=torch.bfloat16)
    solution = solve(problem.f, problem.z0, solver, max_iter=20, stop=Stop(tol=2e-2))
    assert solution.value[0].dtype == torch.bfloat16
    assert solution.converged.all()


def test_solver_arithmetic_ignores_autocast(solver):
    slope = torch.linspace(-0.9, 0.9, 4096)

    def f(z):
        return (slope * z[0] + 1,)  # elementwise: autocast leaves it alone

    options = {"max_iter": 12, "stop": Stop(tol=0)}
    plain = solve(f, (torch.zeros(2, 4096),), solver, **options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = solve(f, (torch.zeros(2, 4096),), solver, **options)
    torch.testing.assert_close(under.trace_rel, plain.trace_rel)


def test_matrix_product_precision_is_raised_and_restored():
    backend = torch.backends.mkldnn.matmul
    before = backend.fp32_precision
    backend.fp32_precision = "bf16"
    try:
        guard = precision_guard(torch.device("cpu"))
        with pytest.raises(RuntimeError), guard():
            assert backend.fp32_precision == "ieee"
            raise RuntimeError
        assert backend.fp32_precision == "bf16"
    finally:
        backend.fp32_precision = before


def test_check_05_states_of_several_parts(solver):
    """Parts of different shapes and dtypes: the residual is the norm over all of them."""
    generator = torch.Generator().manual_seed(0)
    bias = (
        torch.randn(2, 3, 4, 5, generator=generator),
        torch.randn(2, 2, dtype=torch.float64),
        torch.randn(2),
    )

    def f(z):
        assert [part.dtype for part in z] == [torch.float32, torch.float64, torch.float32]
        shared = z[1].mean(1)
        return (
            0.5 * z[0].tanh() + bias[0],
            0.3 * z[1] + 0.1 * z[2][:, None] + bias[1],
            (0.2 * z[2] + 0.1 * shared + bias[2]).float(),
        )

    z0 = tuple(map(torch.zeros_like, bias))
    solution = solve(f, z0, solver, max_iter=100, stop=Stop(tol=1e-6))
    assert solution.converged.all()
    for part, again in zip(solution.value, f(solution.value), strict=True):
        assert part.shape == again.shape and part.dtype == again.dtype
        torch.testing.assert_close(part, again, rtol=1e-4, atol=1e-4)
    first = sum(part.double().reshape(2, -1).square().sum(1) for part in f(z0)).sqrt()
    torch.testing.assert_close(solution.trace_abs[0], first, rtol=1e-6, atol=0)


def test_divergence_ends_a_sample(count):
    rate = torch.tensor([[0.5], [30.0]], dtype=torch.float64)
    f = count(lambda z: (rate * z[0] + 1,))
    solution = solve(f, (torch.zeros(2, 3, dtype=torch.float64),), FixedPoint(), max_iter=50, stop=TIGHT)
    assert [Status(code).name for code in solution.status.tolist()] == ["converged", "diverged"]
    assert solution.steps[1] < 7 and solution.value[0].isfinite().all()


def test_patience_ends_a_sample_that_sets_no_new_low():
    f, z0 = (lambda z: (1 - z[0],)), (torch.zeros(1, 3),)
    assert solve(f, z0, FixedPoint(), max_iter=30, stop=Stop(patience=5)).counts()["stalled"] == 1
    patient = solve(f, z0, FixedPoint(), max_iter=30, stop=Stop(patience=5))
    assert patient.steps.tolist() == [6]
    assert solve(f, z0, FixedPoint(), max_iter=30).counts()["max_iter"] == 1


def test_pixel_mode_needs_both_residuals_small():
    def measure(z, fz, index):
        size = (fz[0] - z[0]).norm(dim=1)
        return Measured(size, fz[0].norm(dim=1), pixels=size, rest=10 * size)

    def f(z):
        return (0.5 * z[0] + 1,)

    z0 = (torch.zeros(1, 1, dtype=torch.float64),)
    stop = Stop(mode="pixel", pixel_tol=0.1, rest_tol=0.2)
    solution = solve(f, z0, FixedPoint(), max_iter=30, stop=stop, measure=measure)
    assert solution.steps.tolist() == [7]  # 0.5^6 is the first below 0.02
    torch.testing.assert_close(solution.trace_rest, 10 * solution.trace_pixels)
    with pytest.raises(ValueError, match="pass measure="):
        solve(f, z0, FixedPoint(), max_iter=30, stop=stop)


def test_bad_arguments_are_refused(contraction):
    problem = contraction(size=4)
    for options in (
        {"max_iter": 0},
        {"indexing": [3, 2]},
        {"indexing": [9]},
        {"check_every": 0},
        {"returned": "x"},
    ):
        with pytest.raises(ValueError, match="expected"):
            solve(problem.f, problem.z0, FixedPoint(), **{"max_iter": 5, **options})
    for state in (problem.z0[0], [problem.z0[0]], ()):
        with pytest.raises(TypeError, match="tuple of tensors"):
            solve(problem.f, state, FixedPoint(), max_iter=5)
    for state in (
        (torch.zeros(2, 3), torch.zeros(3, 3)),
        (torch.zeros(2, 3, dtype=torch.int64),),
        (torch.zeros(0, 3),),
    ):
        with pytest.raises(ValueError, match=r"part"):
            solve(problem.f, state, FixedPoint(), max_iter=5)
    with pytest.raises(ValueError, match="f must return"):
        solve(lambda z: (z[0][:1],), problem.z0, FixedPoint(), max_iter=5)


@pytest.mark.parametrize(
    "options", [{"mode": "px"}, {"tol": -1}, {"pixel_tol": 0}, {"patience": -1}, {"divergence": 0}]
)
def test_bad_stop_rules_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Stop(**options)


@pytest.mark.parametrize("quasi_newton", [Anderson, Broyden])
def test_no_gradient_is_recorded(contraction, quasi_newton):
    problem = contraction(size=8)
    problem.weight.requires_grad_()
    solution = solve(problem.f, problem.z0, quasi_newton(), max_iter=5)
    assert not solution.value[0].requires_grad
