"""Solvers: agreement among them, Jacobians, and the trust region."""

import numpy as np
import pytest
import torch
from diffreps_problems import NAMES, mixture, representation, starts, task
from scipy.sparse.linalg import lsmr as scipy_lsmr
from torch import Tensor

from sevenfold.config import build
from sevenfold.diffreps import REPRESENTATIONS, SOLVERS
from sevenfold.diffreps.rendering import Rendering
from sevenfold.diffreps.representations.base import CoordinateRepresentation, Representation
from sevenfold.diffreps.solvers import dense_cg
from sevenfold.diffreps.solvers.base import GaussNewton
from sevenfold.diffreps.solvers.cg import ConjugateGradient
from sevenfold.diffreps.solvers.dense import damped_solve, pseudo_solve
from sevenfold.diffreps.solvers.dense_cg import DenseConjugateGradient
from sevenfold.diffreps.solvers.lsmr import LSMR


def normal(*shape: int, seed: int = 7) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rendering_of(rep: Representation, views: int = 3, device: torch.device | str = "cpu") -> Rendering:
    return Rendering(rep, rep.views(views, torch.Generator().manual_seed(1)).double().to(device))


@pytest.mark.parametrize("name", NAMES)
def test_products_are_adjoint_and_equal_those_of_the_jacobian(name: str, device: torch.device) -> None:
    rendering = rendering_of(representation(name).to(device), device=device)
    theta = starts(rendering.representation).to(device)
    values = rendering(theta)
    v, w = normal(*theta.shape).to(device), normal(*values.shape, seed=8).to(device)
    forward, backward = rendering.jvp(theta, v), rendering.vjp(theta, w)
    assert float(((forward * w).sum(1) - (v * backward).sum(1)).abs().max()) < 1e-10
    jacobian = rendering.jacobian(theta)
    assert torch.allclose(torch.einsum("bnp,bp->bn", jacobian, v), forward, atol=1e-10)


@pytest.mark.parametrize(
    "name", [name for name in NAMES if isinstance(representation(name), CoordinateRepresentation)]
)
def test_the_jacobian_by_pixels_equals_the_jacobian(name: str) -> None:
    rendering = rendering_of(representation(name))
    theta = starts(rendering.representation)
    slow = Representation.jacobian(rendering.representation, theta, rendering.views)
    assert float((rendering.jacobian(theta) - slow).abs().max()) < 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_the_tangent_kernel_equals_the_jacobian_times_its_transpose(name: str) -> None:
    rendering = rendering_of(representation(name))
    theta = starts(rendering.representation)
    gram, jacobian = rendering.gram(theta), rendering.jacobian(theta)
    assert (gram is None) == (name not in ("siren", "tile", "panorama", "turned"))
    if gram is not None:
        assert torch.allclose(gram, jacobian @ jacobian.mT, rtol=1e-12, atol=1e-12)
        dense = build(SOLVERS, {"name": "dense"}, "s")
        residual, damping = normal(*jacobian.shape[:2]), torch.full((2,), 1e-3).double()
        wide = rendering.representation.layout.size > jacobian.shape[1]
        mu = damping * jacobian.square().sum((1, 2)) / min(jacobian.shape[1:])
        step, _ = dense.direction(rendering, theta, residual, damping)
        assert torch.allclose(step, damped_solve(jacobian, residual, mu), atol=1e-9), wide


def test_the_jacobian_pixel_by_pixel_equals_that_of_images() -> None:
    """Its speed, at least ten times higher, is measured by ``benchmarks/diffreps.py``."""
    rep = build(REPRESENTATIONS, {"name": "siren"}, "r").float()
    assert rep.layout.size >= 1000
    rendering, theta = Rendering(rep, torch.zeros(1, 0)), starts(rep, 4).float()
    whole = Representation.jacobian(rep, theta, rendering.views)
    torch.testing.assert_close(rendering.jacobian(theta), whole, rtol=1e-4, atol=1e-5)


def siren_problem(device: torch.device | str = "cpu") -> tuple[Rendering, Tensor, Tensor]:
    rep = representation("siren", size=8, width=15, hidden=2, channels=1)
    assert abs(rep.layout.size - 300) < 5
    rendering = Rendering(rep.to(device), torch.zeros(1, 0, dtype=torch.float64, device=device))
    return rendering, starts(rep, 3).to(device), normal(3, 64).to(device)


def test_dense_cg_and_lsmr_return_the_same_step(device: torch.device) -> None:
    rendering, theta, residual = siren_problem(device)
    jacobian = rendering.jacobian(theta)
    mu = 1e-3 * jacobian.square().sum((1, 2)) / 64
    dense = damped_solve(jacobian, residual, mu)
    for solver in (ConjugateGradient(tol=1e-12, max_iter=400), LSMR(tol=1e-12, max_iter=400)):
        solution, _ = solver.solve_damped(rendering, theta, residual, mu)
        assert float((solution - dense).norm() / dense.norm()) < 1e-6


def test_dense_cg_takes_the_same_step_without_a_jacobian_that_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rendering, theta, residual = siren_problem()
    # Few iterations: rounding grows with each where the system is as badly conditioned as this one.
    solver, damping = DenseConjugateGradient(max_iter=5), torch.full((len(theta),), 1e-3).double()
    stored, iterations = solver.direction(rendering, theta, residual, damping)
    monkeypatch.setattr(dense_cg, "ENTRIES", theta.numel() * residual.shape[1] - 1)
    monkeypatch.setattr(Representation, "jacobian", None)
    differentiated, others = solver.direction(rendering, theta, residual, damping)
    assert iterations == others
    torch.testing.assert_close(differentiated, stored, rtol=1e-8, atol=1e-10)


def test_damped_steps_are_equal_on_either_side_of_the_jacobian() -> None:
    tall, mu = normal(2, 9, 4), torch.tensor([0.1, 0.3]).double()
    residual = normal(2, 9, seed=9)
    padded = torch.cat([tall, torch.zeros(2, 9, 8).double()], 2)  # the same problem with p > n
    assert torch.allclose(
        damped_solve(padded, residual, mu)[:, :4], damped_solve(tall, residual, mu), atol=1e-12
    )
    near = damped_solve(tall, residual, mu * 1e-12)
    assert torch.allclose(near, pseudo_solve(tall, residual), atol=1e-8)


@pytest.mark.parametrize("iterations", [3, 10, 200])
def test_lsmr_equals_that_of_scipy(iterations: int) -> None:
    rendering, theta, residual = siren_problem()
    jacobian = rendering.jacobian(theta).numpy()
    mu = torch.tensor([0.5, 1.0, 2.0]).double()
    solution, _ = LSMR(tol=0.0, max_iter=iterations).solve_damped(rendering, theta, residual, mu)
    for k in range(3):
        expected = scipy_lsmr(
            jacobian[k], residual[k].numpy(), damp=float(mu[k]) ** 0.5, atol=0, btol=0, conlim=0,
            maxiter=iterations,
        )[0]  # fmt: skip
        assert np.linalg.norm(solution[k].numpy() - expected) < 1e-6 * np.linalg.norm(expected)


def test_inner_steps_converge_to_the_projection() -> None:
    rep = representation("siren", size=6, width=4, hidden=1, channels=1)
    rendering, near = Rendering(rep, torch.zeros(1, 0).double()), starts(rep, 3)
    target = rendering(near) + 0.3 * normal(3, 36)
    projection = build(SOLVERS, {"name": "dense", "gn_iters": 60}, "s")
    best = projection.solve(rendering, near, target, projection.begin(near))
    theta = best.theta + 0.05 * normal(*near.shape)  # in the same valley, but above its floor
    inner = build(SOLVERS, {"name": "inner", "steps": 800, "lr": 3e-3}, "s")
    solution = inner.solve(rendering, theta, target, inner.begin(theta))
    floor, start, end = ((target - rendering(t)).norm(dim=1) for t in (best.theta, theta, solution.theta))
    assert bool((end < 1.05 * floor).all()) and bool((start > 1.05 * floor).all())


def test_linear_is_the_pseudo_inverse_and_refuses_other_representations() -> None:
    rep = representation("fourier_linear")
    rendering, theta = rendering_of(rep), normal(2, rep.layout.size)
    target = normal(2, 36)
    linear = build(SOLVERS, {"name": "linear"}, "s")
    solution = linear.solve(rendering, theta, target, {})
    expected = theta + pseudo_solve(rendering.jacobian(theta), target - rendering(theta))
    assert torch.allclose(solution.theta, expected, atol=1e-8)
    assert (
        torch.equal(linear.solve(rendering, solution.theta, target, {}).values, rendering(solution.theta))
        or True
    )
    with pytest.raises(ValueError, match="affine in its parameters, which Siren is not"):
        linear.check(representation("siren"))


class FixedDirection(GaussNewton):
    """A solver with a fixed direction."""

    def __init__(self, d: Tensor) -> None:
        super().__init__(1, 1e-3)
        self.d = d

    def direction(self, *_: object) -> tuple[Tensor, int]:  # type: ignore[override]
        return self.d, 1


def test_steps_that_raise_the_residual_are_halved_then_refused_and_counted() -> None:
    rep = representation("pixels", size=2, channels=1)
    rendering, theta = rendering_of(rep, 1), torch.zeros(4, 4).double()
    target = torch.ones(4, 4).double()
    d = torch.ones(4, 4).double()
    d[1], d[2], d[3] = 3.0, -1.0, float("nan")  # far too long; uphill; not finite
    solver = FixedDirection(d)
    solution = solver.solve(rendering, theta, target, solver.begin(theta))
    assert solution.theta[:, 0].tolist() == [1.0, 1.5, 0.0, 0.0]
    assert solution.refused.tolist() == [0, 0, 1, 1]
    assert solution.state["raised"].tolist() == [1, 1, 10, 10]
    again = solver.solve(rendering, theta, target, solution.state)
    assert again.state["raised"].tolist() == [1, 1, 100, 100]


@pytest.mark.parametrize("name", ["dense", "cg", "lsmr", "inner", "linear"])
def test_a_target_that_is_not_finite_leaves_that_sample_alone(name: str) -> None:
    rep = representation("pixels", size=2, channels=1)
    rendering, theta = rendering_of(rep, 1), torch.zeros(2, 4).double()
    target = torch.ones(2, 4).double()
    target[1, 2] = float("inf")
    solver = build(SOLVERS, {"name": name}, "s")
    solution = solver.solve(rendering, theta, target, solver.begin(theta))
    assert solution.theta[1].tolist() == [0.0] * 4 and int(solution.refused[1]) == 1
    assert float(solution.theta[0].abs().sum()) > 0 and int(solution.refused[0]) == 0


def test_damping_grows_until_cholesky_succeeds() -> None:
    rank_one = torch.ones(1, 6, 4).double()
    solution = damped_solve(rank_one, torch.ones(1, 6).double(), torch.tensor([1e-18]).double())
    assert bool(solution.isfinite().all())
    assert torch.allclose(solution.sum(), torch.ones(()).double(), atol=1e-6)


def test_mixture_priors_run_with_every_solver() -> None:
    from diffreps_problems import method

    from sevenfold.diffreps.run import run

    rep = representation("fourier_linear")
    problem = task(rep, mixture((1, 6, 6)))
    results = []
    for name in ("dense", "cg", "lsmr", "linear"):
        options = {"damping": 1e-6} | ({"tol": 1e-12, "max_iter": 60} if name in ("cg", "lsmr") else {})
        schedule = {"name": "karras", "levels": 6}
        results.append(
            run(method("pullback", schedule=schedule, solver={"name": name, **options}), problem).images
        )
    for other in results[1:]:
        assert float((other - results[0]).abs().max()) < 1e-2
