"""Phantom gradients: a few tracked steps at the solution (Geng et al. 2021, On Training Implicit Models)."""

from typing import Literal

import torch

from sevenfold.deq.base import Backward, Function, State
from sevenfold.errors import ConfigError
from sevenfold.ranges import Depth, PositiveShare


class Phantom(Backward):
    """The phantom gradient: steps z <- (1 - tau) z + tau f(z) from the solution, with gradients on.

    One step of length 1 is the one-step gradient, also called Jacobian-free backpropagation (Fung et al.
    2022); as the number of steps grows the gradient tends to the implicit one where f contracts.

    Args:
        steps: the number of steps with gradients, each of which takes memory.
        damping: the step length tau, above 0 and at most 1.
        supervise: ``last`` shows the loss the last of these steps, ``all`` every one of them.

    Example:
        >>> a = torch.tensor(1.0, requires_grad=True)
        >>> solution = (torch.full((1, 1), 2.0),)  # of z = 0.5 z + a
        >>> (z,) = Phantom(steps=3).attach(lambda z: (0.5 * z[0] + a,), solution)[-1]
        >>> z.sum().backward()
        >>> a.grad.item()  # 1 + 1/2 + 1/4; the exact gradient is 2
        1.75
    """

    def __init__(
        self, *, steps: Depth = 1, damping: PositiveShare = 1.0, supervise: Literal["last", "all"] = "last"
    ) -> None:
        if steps < 1:
            raise ConfigError("steps", f"is {steps}; expected at least 1 tracked step")
        if not 0 < damping <= 1:
            raise ConfigError("damping", f"is {damping}; expected a step length in (0, 1]")
        if supervise not in ("last", "all"):
            raise ConfigError("supervise", f"is {supervise!r}; expected 'last' or 'all'")
        self.steps, self.damping, self.supervise = steps, damping, supervise

    @torch.enable_grad()
    def attach(self, f: Function, z: State) -> list[State]:
        """Return the state after the last tracked step, or after each of them."""
        tau, states = self.damping, []
        for _ in range(self.steps):
            fz = f(z)
            z = fz if tau == 1 else tuple(a + tau * (b - a) for a, b in zip(z, fz, strict=True))
            states.append(z)
        return states if self.supervise == "all" else states[-1:]
