"""First-order updates of batched parameters, as functions of a state of plain tensors."""

from typing import Literal

import torch
from torch import Tensor

from sevenfold.diffreps.solvers.base import SolverState

Name = Literal["adam", "adamax", "sgd"]


def begin(theta: Tensor) -> SolverState:
    """Return the state before the first update."""
    # plain tensors, so that snapshots contain the moments
    zeros = torch.zeros_like(theta)
    return {"first": zeros, "second": zeros.clone(), "count": theta.new_zeros(())}


def direction(name: Name, gradient: Tensor, state: SolverState, betas: tuple[float, float]) -> Tensor:
    """Return the direction of a descent, and update ``state`` in place.

    The direction is that of Adam or Adamax (Kingma & Ba 2015), or the gradient itself; the caller subtracts
    the rate times it.
    """
    if name == "sgd":
        return gradient
    one, two = betas
    count = state["count"] = state["count"] + 1
    # m <- b1 m + (1 - b1) g;  mhat = m / (1 - b1^t)   (Kingma & Ba 2015, algorithm 1)
    state["first"] = one * state["first"] + (1 - one) * gradient
    first = state["first"] / (1 - one**count)
    # Adamax: u <- max(b2 u, |g|)   (algorithm 2 there)
    if name == "adamax":
        state["second"] = torch.maximum(two * state["second"], gradient.abs() + 1e-8)
        return first / state["second"]
    state["second"] = two * state["second"] + (1 - two) * gradient.square()
    return first / ((state["second"] / (1 - two**count)).sqrt() + 1e-8)
