"""Rules whose gradient is that of an iteration of their own, which replaces the solve in training.

Reverse accumulation through an iteration: Griewank and Walther 2008, chapter 15.
"""

from abc import abstractmethod

import torch
from torch import Tensor

from sevenfold.deq.base import Backward, Function, Solution, State, Status, Stop
from sevenfold.deq.implicit_function import Map


class IteratingRule(Backward):
    """A rule that iterates f from the start of the solve and is exact for what it iterated.

    In evaluation the layer's solver takes its place. ``steps`` is the number of states it passes through.
    """

    steps: int

    @property
    def evaluations(self) -> int:
        """Evaluations of f in a forward pass."""
        return self.steps

    @abstractmethod
    def residual(self, f: Map, z0: State, states: list[State], args: State) -> State:
        """Return f(z) - z at the last evaluation of an iteration from z0."""

    @abstractmethod
    def iterate(self, f: Map, z0: State, args: State) -> list[State]:
        """Return the states after each step, with gradients to z0 and args (f's only tensors)."""

    def attach(self, f: Function, z: State) -> list[State]:
        """Return the state after all steps from z."""
        return self.iterate(lambda state, _: f(state), z, ())[-1:]


@torch.no_grad()
def record_of(z: State, residual: State, stop: Stop, evaluations: int) -> Solution:
    """Return the record of an iteration that ended at z, judged by its residual."""

    def size(parts: State) -> Tensor:
        return torch.stack([p.reshape(p.shape[0], -1).double().norm(dim=1) for p in parts]).norm(dim=0)

    step, norm = size(residual), size(z)
    # Judged as the driver judges, so that records compare.
    relative = step / (norm + 1e-8)
    small = (step if stop.mode == "abs" else relative) <= stop.tol
    status = torch.full_like(step, Status.max_iter, dtype=torch.long).masked_fill_(small, Status.converged)
    status.masked_fill_(~step.isfinite(), Status.nonfinite)
    count = torch.full_like(status, evaluations)
    return Solution(
        value=tuple(part.detach() for part in z),
        indexed=(),
        residual_abs=step,
        residual_rel=relative,
        steps=count,
        status=status,
        step_of_best=count,
        trace_abs=step[None],
        trace_rel=relative[None],
    )
