"""The contract of a fixed-point solver."""

from collections.abc import Callable

import torch
from torch import Tensor

from sevenfold.deq.base import Solver, State, Stop
from sevenfold.testing.contract import Check, require, run_checks

SIZES = (4, 33)
TIGHT = Stop(tol=1e-10)


def check_solver(solver: Solver | type[Solver]) -> None:
    """Check that a solver finds fixed points, sample by sample, whoever shares the batch.

    Args:
        solver: an instance, or a class whose options all have defaults.

    >>> from sevenfold.deq.anderson import Anderson
    >>> check_solver(Anderson())
    """
    run_checks(CHECKS, solver() if isinstance(solver, type) else solver)


def linear(size: int, device: torch.device | str = "cpu") -> tuple[Callable[..., State], Tensor, Tensor]:
    """Return f(z) = A z + b for three samples, a start and the fixed points; ||A|| is .2, .6 and .8."""
    generator = torch.Generator().manual_seed(size)
    rotation = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))[0]
    slope = rotation @ torch.diag(torch.linspace(-1, 1, size, dtype=torch.float64)) @ rotation.T
    slopes = (torch.tensor([0.2, 0.6, 0.8], dtype=torch.float64)[:, None, None] * slope).to(device)
    bias = torch.randn(3, size, generator=generator, dtype=torch.float64).to(device)
    fixed = torch.linalg.solve(torch.eye(size, dtype=torch.float64, device=device) - slopes, bias[..., None])

    def f(z: State, index: Tensor | None = None) -> State:
        rows = slice(None) if index is None else index
        return ((slopes[rows] @ z[0][..., None])[..., 0] + bias[rows],)

    return f, torch.zeros_like(bias), fixed[..., 0]


def solves_linear_contractions(solver: Solver) -> None:
    """It finds the fixed point of an affine contraction to 1e-7 within 200 evaluations."""
    from sevenfold.deq import solve

    for size in SIZES:
        f, start, fixed = linear(size)
        solution = solve(f, (start,), solver, max_iter=200, stop=TIGHT)
        error = float((solution.value[0] - fixed).norm(dim=1).max() / fixed.norm(dim=1).max())
        counts = solution.counts()
        require(solution.converged.all(), f"Of three samples of size {size}: {counts}.")
        require(error < 1e-7, f"Its status is 'converged' and the relative error {error:.1e}.")


def solves_nonlinear_contractions(solver: Solver) -> None:
    """It finds what 2,000 plain iterations of a nonlinear contraction find."""
    from sevenfold.deq import solve

    f, start, _ = linear(16)

    def squashed(z: State, index: Tensor | None = None) -> State:
        return (torch.tanh(f(z, index)[0]),)

    # The reference is plain iteration far beyond convergence: slow, and nothing can go wrong in it.
    plain: State = (start,)
    for _ in range(2000):
        plain = squashed(plain)
    solution = solve(squashed, (start,), solver, max_iter=200, stop=TIGHT)
    error = float((solution.value[0] - plain[0]).abs().max())
    require(solution.converged.all() and error < 1e-7, f"Its error is {error:.1e}, {solution.counts()}.")


def samples_are_independent(solver: Solver) -> None:
    """A sample's solution and number of steps are the same alone as in a batch."""
    from sevenfold.deq import solve

    f, start, _ = linear(16)
    # Finished samples leave the batch or stay in it; neither may show in the others.
    for compact in (False, True):
        batch = solve(f, (start,), solver, max_iter=200, stop=TIGHT, compact=compact)
        for i in range(len(start)):

            def one(z: State, index: Tensor | None = None, i: int = i) -> State:
                return f(z, torch.tensor([i]))

            alone = solve(one, (start[i : i + 1],), solver, max_iter=200, stop=TIGHT)
            steps = (int(batch.steps[i]), int(alone.steps[0]))
            error = float((batch.value[0][i] - alone.value[0][0]).abs().max())
            require(
                steps[0] == steps[1], f"Sample {i} took {steps[0]} steps in a batch and {steps[1]} alone."
            )
            require(error < 1e-9, f"Sample {i} differs by {error:.1e}.")


def solves_repeat(solver: Solver) -> None:
    """A solver holds options only: the same problem twice has the same solution, bit by bit."""
    from sevenfold.deq import solve

    f, start, _ = linear(16)
    before = start.clone()
    first, second = (solve(f, (start,), solver, max_iter=30, stop=TIGHT) for _ in range(2))
    require(torch.equal(first.value[0], second.value[0]), "The second solve differs from the first.")
    require(torch.equal(start, before), "It changed the start in place.")


def survives_float32(solver: Solver) -> None:
    """It converges in float32 too, to a relative residual of 1e-5."""
    from sevenfold.deq import solve

    f, start, _ = linear(16)

    def single(z: State, index: Tensor | None = None) -> State:
        return (f((z[0].double(),), index)[0].float(),)

    solution = solve(single, (start.float(),), solver, max_iter=200, stop=Stop(tol=1e-5))
    require(solution.value[0].dtype == torch.float32, f"The solution is {solution.value[0].dtype}.")
    require(solution.converged.all(), f"{solution.counts()}.")


CHECKS: tuple[Check, ...] = (
    solves_linear_contractions,
    solves_nonlinear_contractions,
    samples_are_independent,
    solves_repeat,
    survives_float32,
)
