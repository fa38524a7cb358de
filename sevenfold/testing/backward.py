"""The contract of a rule for the gradient of an equilibrium."""

import torch
from torch import Tensor

from sevenfold.deq.base import Backward, Stop
from sevenfold.deq.layer import DEQ
from sevenfold.testing.contract import Check, require, run_checks
from sevenfold.testing.equilibria import contraction, normal

RADIUS, SIZE = 0.1, 6


def check_backward(rule: Backward | type[Backward], *, exact: float | None = None) -> None:
    """Check that a rule leaves a solution where it is and gives it a gradient that points the right way.

    Args:
        rule: an instance, or a class whose options all have defaults.
        exact: largest relative error of a rule that claims to be exact; None for one that approximates.

    >>> from sevenfold.deq import Implicit, Phantom
    >>> check_backward(Phantom())
    >>> check_backward(Implicit(tol=1e-10), exact=1e-8)
    """
    # The one-step gradient of a contraction by .1 is off by about a tenth (Fung et al. 2022).
    run_checks(CHECKS, rule() if isinstance(rule, type) else rule, 0.5 if exact is None else exact)


def affine() -> tuple[Tensor, Tensor, Tensor]:
    """Return W (n, n) of norm .1, x (3, n), and the solution of z = z W^T + x."""
    weight, x = contraction(SIZE, RADIUS), normal(3, SIZE, name=1)
    eye = torch.eye(SIZE, dtype=torch.float64)
    return weight, x, torch.linalg.solve(eye - weight, x.mT).mT


def solved(rule: Backward, weight: Tensor, x: Tensor) -> list[Tensor]:
    """Return the states that a layer with this rule returns in training."""
    layer = DEQ(backward=rule, max_iter=40, stop=Stop(tol=1e-13)).train()
    start = torch.zeros(3, SIZE, dtype=torch.float64)
    states: list[Tensor] = layer(lambda z, w, x: z @ w.T + x, start, (weight, x))[0]
    return states


def leaves_the_solution_where_it_is(rule: Backward, bound: float) -> None:
    """The states of a layer are the solution, to a relative 1e-4, and have a gradient."""
    weight, x, z = affine()
    states = solved(rule, weight.requires_grad_(), x)
    require(bool(states), "There is no state.")
    for state in states:
        error = float((state.detach() - z).norm() / z.norm())
        require(error <= 1e-4, f"A state is {error:.1e} off the solution.")
        require(state.requires_grad, "A state has no gradient.")


def gradients_are_right(rule: Backward, bound: float) -> None:
    """Gradients with respect to weights and inputs are those of the closed form, within the bound."""
    weight, x, _ = affine()
    leaves = [weight.clone().requires_grad_(), x.clone().requires_grad_()]
    target = normal(3, SIZE, name=2)
    gradients = torch.autograd.grad((solved(rule, *leaves)[-1] * target).sum(), leaves)
    eye = torch.eye(SIZE, dtype=torch.float64)
    # z = x (I - W)^-T: the closed form, which goes through no part of the library.
    exact = (torch.linalg.solve(eye - leaves[0], leaves[1].mT).mT * target).sum()
    for name, gradient, expected in zip(
        ("weights", "inputs"), gradients, torch.autograd.grad(exact, leaves), strict=True
    ):
        error = float((gradient - expected).norm() / expected.norm())
        require(error <= bound, f"The gradient of the {name} is off by {error:.1e}, more than {bound:g}.")


def rows_have_their_own_gradients(rule: Backward, bound: float) -> None:
    """The gradient of one row's loss reaches that row's input alone."""
    weight, x, _ = affine()
    (gradient,) = torch.autograd.grad(solved(rule, weight, x.requires_grad_())[-1][0].sum(), x)
    require(gradient[0].any() and not gradient[1:].any(), "It reaches other rows.")


def gradients_repeat(rule: Backward, bound: float) -> None:
    """A rule holds options only: the same solution twice has the same gradient, bit by bit."""
    weight, x, _ = affine()
    weight.requires_grad_()
    first, second = (
        torch.autograd.grad(solved(rule, weight, x)[-1].square().sum(), weight)[0] for _ in range(2)
    )
    require(torch.equal(first, second), "The second gradient differs from the first.")


CHECKS: tuple[Check, ...] = (
    leaves_the_solution_where_it_is,
    gradients_are_right,
    rows_have_their_own_gradients,
    gradients_repeat,
)
