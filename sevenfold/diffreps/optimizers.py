"""First-order updates of batched parameters, as functions of a state of plain tensors."""

from typing import Literal

import torch
from torch import Tensor

from sevenfold.diffreps.solvers.base import SolverState

Name = Literal["adam", "adamax", "sgd"]


def begin(theta: Tensor) -> SolverState:
    """Return the state before the first update."""
    zeros = torch.zeros_like(theta)
    return {"first": zeros, "second": zeros.clone(), "count": theta.new_zeros(())}


def direction(name: Name, gradient: Tensor, state: SolverState, betas: tuple[float, float]) -> Tensor:
    """Return what the rate times is subtracted, bringing ``state`` up to date: Adam's or Adamax' (Kingma, Ba
    2015) direction, or the gradient itself.
    """
    if name == "sgd":
        return gradient
    one, two = betas
    count = state["count"] = state["count"] + 1
    state["first"] = one * state["first"] + (1 - one) * gradient
    first = state["first"] / (1 - one**count)
    if name == "adamax":
        state["second"] = torch.maximum(two * state["second"], gradient.abs() + 1e-8)
        return first / state["second"]
    state["second"] = two * state["second"] + (1 - two) * gradient.square()
    return first / ((state["second"] / (1 - two**count)).sqrt() + 1e-8)
