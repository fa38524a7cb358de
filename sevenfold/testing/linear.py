"""The contract of a method for the linear system of an equilibrium's gradient."""

from functools import partial

import torch
from torch import Tensor

from sevenfold.deq.linear.base import LinearMethod
from sevenfold.testing.contract import Check, require, run_checks
from sevenfold.testing.equilibria import normal

SIZE = 20


def check_linear(method: LinearMethod | type[LinearMethod]) -> None:
    """Check that a method solves (I - K) y = b for symmetric K, row by row, with records that are true.

    Args:
        method: an instance, or a class whose options all have defaults.

    >>> from sevenfold.deq.linear.gmres import GMRES
    >>> check_linear(GMRES())
    """
    run_checks(CHECKS, method() if isinstance(method, type) else method)


def systems(radii: tuple[float, ...] = (0.9, 0.9, 0.9)) -> tuple[Tensor, Tensor]:
    """Return symmetric matrices K (B, n, n) of these spectral radii, and right-hand sides (B, n)."""
    matrices = normal(len(radii), SIZE, SIZE, name=1)
    matrices = matrices + matrices.mT
    size = torch.linalg.eigvalsh(matrices).abs().amax(1)
    scale = torch.tensor(radii, dtype=torch.float64) / size
    return matrices * scale[:, None, None], normal(len(radii), SIZE, name=2)


def times(matrices: Tensor, v: Tensor) -> Tensor:
    """Return K v for every row."""
    return (matrices @ v[..., None])[..., 0]


def solves_and_knows_its_residual(method: LinearMethod) -> None:
    """It reaches its tolerance within 200 products, and the residual it reports is the true one."""
    matrices, b = systems()
    for tol in (1e-3, 1e-10):
        solution = method.solve(lambda v: times(matrices, v), b, max_products=200, tol=tol)
        require(solution.converged.all(), f"Statuses {solution.status.tolist()} at tolerance {tol:g}.")
        true = (b - solution.value + times(matrices, solution.value)).norm(dim=1) / b.norm(dim=1)
        honest = (true <= 2 * solution.residual + 1e-14) & (solution.residual <= 2 * true + 1e-14)
        require(
            (solution.residual <= tol).all(), f"Residuals {solution.residual.tolist()}, tolerance {tol:g}."
        )
        require(honest.all(), f"It reports {solution.residual.tolist()}; the residuals are {true.tolist()}.")
    exact = torch.linalg.solve(torch.eye(SIZE, dtype=torch.float64) - matrices, b)
    error = float((solution.value - exact).norm() / exact.norm())
    require(error <= 1e-8, f"Its solution is off by {error:.1e}.")


def rows_end_by_themselves(method: LinearMethod) -> None:
    """A row takes as many products as it would alone, and none where its right-hand side is zero."""
    matrices, b = systems((0.2, 0.9, 0.9))
    b[1] = 0.0
    batch = method.solve(lambda v: times(matrices, v), b, max_products=200, tol=1e-9)
    require(
        batch.products[1] == 0 and not batch.value[1].any(), f"{int(batch.products[1])} products for b = 0."
    )
    for row in (0, 2):
        own = partial(times, matrices[row : row + 1])
        alone = method.solve(own, b[row : row + 1], max_products=200, tol=1e-9)
        counts = int(batch.products[row]), int(alone.products[0])
        require(
            counts[0] == counts[1], f"Row {row} took {counts[0]} products in a batch and {counts[1]} alone."
        )
        error = float((batch.value[row] - alone.value[0]).abs().max())
        require(error <= 1e-8, f"Row {row} differs by {error:.1e} from its solution alone.")


def spends_no_more_than_it_may(method: LinearMethod) -> None:
    """It stops at the given number of products, and says that it has not converged."""
    matrices, b = systems()
    calls = []

    def product(v: Tensor) -> Tensor:
        calls.append(len(v))
        return times(matrices, v)

    solution = method.solve(product, b, max_products=2, tol=1e-12)
    # One more call than products, to compute the last residual, is common.
    require(len(calls) <= 3, f"It called the product {len(calls)} times where 2 were allowed.")
    require(not solution.converged.any(), "It says that it converged to 1e-12 in two products.")
    require(solution.value.isfinite().all(), "Its iterate is not finite.")


CHECKS: tuple[Check, ...] = (
    solves_and_knows_its_residual,
    rows_end_by_themselves,
    spends_no_more_than_it_may,
)
