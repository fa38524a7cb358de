"""Backpropagation through plain steps from the start, with or without their graphs in memory."""

from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sevenfold.deq.base import State
from sevenfold.deq.implicit_function import Map
from sevenfold.deq.iterating import IteratingRule
from sevenfold.ranges import Depth, PositiveShare


class Unrolled(IteratingRule):
    """The exact gradient of ``steps`` plain (or damped) iterations from z0, that to z0 included.

    With ``recompute`` only the iterates stay between the passes, and f is evaluated again in the backward
    pass (Griewank and Walther 2008, chapter 12, one level): the same gradient for a third more time.
    Without it every transform and every order of derivative works.

    Args:
        steps: iterations, which stand for the solve in training.
        damping: length tau of a step z <- (1 - tau) z + tau f(z).
        recompute: evaluate f again in the backward pass in place of storing its graphs.

    Example:
        >>> a = torch.tensor([[1.0]], requires_grad=True)
        >>> (z,) = Unrolled(steps=3).attach(lambda z: (0.5 * z[0] + a,), (torch.zeros(1, 1),))[-1]
        >>> z.sum().backward()
        >>> a.grad.item()  # 1 + 1/2 + 1/4
        1.75
    """

    def __init__(self, *, steps: Depth = 12, damping: PositiveShare = 1.0, recompute: bool = True) -> None:
        self.steps, self.damping, self.recompute = steps, damping, recompute

    @torch.enable_grad()
    def iterate(self, f: Map, z0: State, args: State) -> list[State]:
        """Return the states after each step."""
        states: list[State] = []
        z = z0
        for _ in range(self.steps):
            z = self._recomputed(f, z, args) if self.recompute else self._step(f, len(z), *z, *args)
            states.append(z)
        return states

    @torch.no_grad()
    def residual(self, f: Map, z0: State, states: list[State], args: State) -> State:
        """Return the last step, undamped: what f moved the state before the last by."""
        before = states[-2] if len(states) > 1 else z0
        return tuple((a - b) / self.damping for a, b in zip(states[-1], before, strict=True))

    def _step(self, f: Map, size: int, *tensors: Tensor) -> State:
        z, tau = tensors[:size], self.damping
        fz = f(z, tensors[size:])
        # z <- (1 - tau) z + tau f(z)
        return fz if tau == 1 else tuple(a + tau * (b - a) for a, b in zip(z, fz, strict=True))

    def _recomputed(self, f: Map, z: State, args: State) -> State:
        # Non-reentrant, so that gradients flow to whatever f closes over too.
        state: State = checkpoint(
            partial(self._step, f, len(z)), *z, *args, use_reentrant=False, preserve_rng_state=False
        )
        return state
