"""Linear methods: exact, row by row, with honest records."""

from typing import Any

import pytest
import torch
from torch import Tensor

from sevenfold.config import build
from sevenfold.deq import DEQ, LINEAR, Broyden, Implicit, Status, Stop, solve
from sevenfold.deq.linear.bicgstab import BiCGStab
from sevenfold.deq.linear.cg import CG
from sevenfold.deq.linear.gmres import GMRES
from sevenfold.deq.problems import fixed_point
from sevenfold.errors import ConfigError
from sevenfold.testing.equilibria import F64, PROBLEMS, contraction, flat, normal, relative_error


def systems(symmetric: bool = False, batch: int = 3, size: int = 20) -> tuple[Tensor, Tensor]:
    """Return matrices K (B, n, n) of spectral radius .9 and right-hand sides (B, n)."""
    matrices = normal(batch, size, size, name=1)
    matrices = matrices + matrices.mT if symmetric else matrices
    radius = torch.linalg.eigvals(matrices).abs().amax(1)
    return 0.9 * matrices / radius[:, None, None], normal(batch, size, name=2)


def times(matrices: Tensor, v: Tensor) -> Tensor:
    return torch.einsum("bij,bj->bi", matrices, v)


def exact(matrices: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.solve(torch.eye(b.shape[1], dtype=F64) - matrices, b)


@pytest.mark.parametrize("name", LINEAR)
def test_every_method_solves_and_tells_the_true_residual(name: str) -> None:
    matrices, b = systems(symmetric=True)
    method = build(LINEAR, {"name": name}, "adjoint")
    for tol in (1e-3, 1e-10):
        found = method.solve(lambda v: times(matrices, v), b, max_products=200, tol=tol)
        assert found.converged.all() and (found.residual <= tol).all()
        true = (b - found.value + times(matrices, found.value)).norm(dim=1) / b.norm(dim=1)
        assert (true <= 2 * found.residual + 1e-14).all() and (found.residual <= 2 * true + 1e-14).all()
    torch.testing.assert_close(found.value, exact(matrices, b), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", LINEAR)
def test_rows_stop_by_themselves_and_a_zero_row_costs_nothing(name: str) -> None:
    matrices, b = systems(symmetric=True)
    matrices[0] *= 0.2 / 0.9
    b[1] = 0.0
    method = build(LINEAR, {"name": name}, "adjoint")
    found = method.solve(lambda v: times(matrices, v), b, max_products=200, tol=1e-9)
    assert found.products[1] == 0 and not found.value[1].any() and found.products[0] < found.products[2]
    for row in (0, 2):
        alone = method.solve(
            lambda v, row=row: times(matrices[row : row + 1], v), b[row : row + 1], max_products=200, tol=1e-9
        )
        assert alone.products[0] == found.products[row]
        torch.testing.assert_close(found.value[row], alone.value[0], rtol=1e-9, atol=1e-10)


def test_gmres_takes_the_fewest_products_and_restarts_reach_the_same() -> None:
    matrices, b = systems()
    whole = GMRES().solve(lambda v: times(matrices, v), b, max_products=200, tol=1e-8)
    other = BiCGStab().solve(lambda v: times(matrices, v), b, max_products=400, tol=1e-8)
    assert (whole.products <= 21).all() and (whole.products <= other.products).all()
    short = GMRES(restart=5).solve(lambda v: times(matrices, v), b, max_products=2000, tol=1e-8)
    assert short.converged.all() and (short.products > whole.products).all()
    for found in (whole, other, short):
        torch.testing.assert_close(found.value, exact(matrices, b), rtol=1e-5, atol=1e-6)


def test_breakdown_is_the_exact_solution() -> None:
    direction = normal(1, 20, name=3)
    direction = direction / direction.norm()

    def product(v: Tensor) -> Tensor:  # rank one
        return 0.5 * (v @ direction.T) @ direction

    b = normal(1, 20, name=4)
    found = GMRES().solve(product, b, max_products=20, tol=1e-14)
    assert found.products[0] <= 3
    torch.testing.assert_close(found.value - product(found.value), b, rtol=0, atol=1e-13)


def test_cg_takes_at_most_as_many_products_as_dimensions_and_names_saddles() -> None:
    matrices, b = systems(symmetric=True, size=8)
    found = CG().solve(lambda v: times(matrices, v), b, max_products=50, tol=1e-10)
    assert found.converged.all() and (found.products <= 10).all()
    steep = 3 * matrices  # I - K has negative eigenvalues
    found = CG().solve(lambda v: times(steep, v), b, max_products=50, tol=1e-10)
    assert (found.status == Status.saddle).all()


def test_products_that_run_out_and_numbers_that_overflow_have_a_status() -> None:
    matrices, b = systems()
    found = GMRES().solve(lambda v: times(matrices, v), b, max_products=2, tol=1e-12)
    assert (found.status == Status.max_iter).all() and (found.products == 2).all()
    found = BiCGStab().solve(lambda v: v * float("nan"), b, max_products=6, tol=1e-12)
    assert (found.status == Status.nonfinite).all()


@pytest.mark.parametrize("name", ["gmres", "bicgstab", "fixed_point", "anderson", "broyden"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_method_gives_the_gradient_of_every_problem(problem: str, name: str) -> None:
    given = PROBLEMS[problem]()
    leaf = given.args[0].clone().requires_grad_()
    options: dict[str, Any] = {"max_iter": 300, "stop": {"tol": 1e-13}, "batched": given.batched}
    rule = Implicit(adjoint={"name": name}, tol=1e-12, max_products=400)
    z, _ = fixed_point(given.f, given.z0, (leaf, given.args[1]), adjoint=rule, **options)
    found = torch.autograd.grad(flat(z).square().sum(), leaf)
    expected = torch.autograd.grad(flat(given.solution(leaf, given.args[1])).square().sum(), leaf)
    assert rule.latest is not None and rule.latest.converged.all()
    assert relative_error(found, expected) <= 1e-9


def test_gmres_needs_no_more_products_than_anderson_on_contractions() -> None:
    for radius in (0.9, 0.99):
        for name in range(3):
            weight = contraction(64, radius, name=name).requires_grad_()
            x, products = normal(4, 64, name=10 + name), {}
            for method in ("gmres", "anderson"):
                rule = Implicit(adjoint={"name": method}, tol=1e-6, max_products=200)
                z, _ = fixed_point(
                    lambda z, w, x: torch.tanh(z @ w.T + 0.1 * x), torch.zeros(4, 64, dtype=F64), (weight, x),
                    adjoint=rule, max_iter=400, stop={"tol": 1e-10},
                )  # fmt: skip
                torch.autograd.grad(z.sum(), weight)
                assert rule.latest is not None
                products[method] = rule.latest.products
            assert (products["gmres"] <= products["anderson"]).all()


def nonsymmetric(radius: float = 0.99) -> tuple[Tensor, Tensor]:
    """Return W (64, 64) of that spectral radius and x (4, 64), for z = tanh(z W^T + x)."""
    weight = normal(64, 64, name=1)
    return weight / torch.linalg.eigvals(weight).abs().max() * radius, 0.1 * normal(4, 64, name=2)


@pytest.mark.parametrize("closure", [False, True])
def test_check_16_the_forward_solver_preconditions_the_backward_solve(closure: bool) -> None:
    weight, x = nonsymmetric()
    products, gradients = {}, {}
    for name, tol in (("none", 1e-6), ("forward", 1e-6), ("none", 1e-12), ("forward", 1e-12)):
        leaf = weight.clone().requires_grad_()
        rule = Implicit(adjoint={"name": "gmres", "precondition": name}, tol=tol, max_products=300)
        stop = Stop(tol=1e-10)
        if closure:
            layer = DEQ(solver=Broyden(), backward=rule, max_iter=200, stop=stop).train()
            states, record = layer(lambda z, w=leaf: (torch.tanh(z[0] @ w.T + x),), (torch.zeros_like(x),))
            z = states[-1][0]
        else:
            z, record = fixed_point(
                lambda z, w, x: torch.tanh(z @ w.T + x), torch.zeros_like(x), (leaf, x),
                solver=Broyden(), adjoint=rule, stop=stop, max_iter=200,
            )  # fmt: skip
        assert record.converged.all()
        (gradients[name, tol],) = torch.autograd.grad(z.square().sum(), leaf)
        assert rule.latest is not None and rule.latest.converged.all()
        products[name, tol] = rule.latest.products
    assert (products["forward", 1e-6] <= 0.6 * products["none", 1e-6]).all()
    assert relative_error(gradients["forward", 1e-12], gradients["none", 1e-12]) <= 1e-9


def test_the_estimate_is_the_transposed_product_of_the_steps() -> None:
    matrices, b = systems(batch=2, size=5)
    points: list[Tensor] = []

    def f(z: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        points.append(z[0].clone())
        return (times(matrices, z[0]) + b,)

    solution = solve(f, (torch.zeros_like(b),), Broyden(beta=0.7), max_iter=6, stop=Stop(tol=0), inverse=True)
    steps = [after - before for before, after in zip(points, points[1:], strict=False)]
    identity = torch.eye(5, dtype=F64)
    assert solution.inverse is not None
    for row in range(2):
        dense = 0.7 * identity
        for s, following in zip(steps, steps[1:], strict=False):  # Kelley 1995, section 7.3
            dense = (identity + torch.outer(following[row], s[row]) / s[row].square().sum()) @ dense
        columns = [solution.inverse(identity[i].expand(2, 5))[row] for i in range(5)]
        torch.testing.assert_close(torch.stack(columns), dense, rtol=1e-9, atol=1e-10)


def test_a_preconditioner_needs_a_solver_that_estimates_one() -> None:
    rule = {"name": "implicit", "adjoint": {"name": "gmres", "precondition": "forward"}}
    with pytest.raises(ConfigError, match="Anderson estimates no inverse Jacobian; use the solver broyden"):
        DEQ(solver={"name": "anderson"}, backward=rule)
    with pytest.raises(ConfigError, match="estimates no inverse Jacobian"):
        fixed_point(lambda z: 0.5 * z, torch.zeros(2, 2), adjoint=rule["adjoint"])
    with pytest.raises(ConfigError, match="precondition.*expected 'none' or 'forward'"):
        GMRES(precondition="backward")
