"""Broyden's good method in its step form (Kelley 1995, Iterative Methods for Equations, section 7.3)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from sevenfold.deq.base import Rows, Solver
from sevenfold.deq.history import combine, inner
from sevenfold.errors import ConfigError
from sevenfold.ranges import Count, Growth, PositiveShare


@dataclass
class _Memory:
    steps: Tensor  # (room, B, D) steps s_j = x_{j+1} - x_j, and room for the next
    gram: Tensor  # (B, room, room) inner products of steps, float64
    valid: Tensor  # (B, room) which steps a sample may use
    limit: int  # most steps ever kept
    count: int = 0  # steps kept now
    taken: int = 0  # steps in all


class Broyden(Solver):
    """Broyden's good method for the root of f(x) - x, its Jacobian first taken as -I / beta; no line search.

    The inverse Jacobian is a product of rank-one factors that only needs the past steps s_j, half the memory
    of the usual pairs. With z_0 = beta r, c_j = <s_j, z_j> / <s_j, s_j> and z_{j+1} = z_j + c_j s_{j+1} over
    the n + 1 past steps, the next one is s_{n+1} = z_n / (1 - c_n). All c_j follow from one triangular system
    in the Gram matrix of the steps, so that a step passes twice over the memory.

    Args:
        memory: the number of past steps after which all but the newest are forgotten; null for no limit.
        beta: length of the first step along the residual, above 0 and at most 1.
        growth: a sample whose residual exceeds ``growth`` times its lowest so far restarts from its best
            state; infinity never restarts, for residuals of this method may rise for a while.

    Example:
        >>> from sevenfold.deq import Stop, solve
        >>> z0 = (torch.zeros(1, 1, dtype=torch.float64),)
        >>> solution = solve(lambda z: (z[0].cos(),), z0, Broyden(), max_iter=30, stop=Stop(tol=1e-10))
        >>> f"{solution.value[0].item():.6f}"
        '0.739085'
    """

    def __init__(
        self, *, memory: Count | None = None, beta: PositiveShare = 1.0, growth: Growth = math.inf
    ) -> None:
        if memory is not None and memory < 1:
            raise ConfigError("memory", f"is {memory}; expected at least 1 step, or null for no limit")
        if not 0 < beta <= 1:
            raise ConfigError("beta", f"is {beta}; expected a step length in (0, 1]")
        if growth <= 1:
            raise ConfigError("growth", f"is {growth}; expected more than 1")
        self.memory, self.beta, self.growth = memory, beta, growth

    def start(self, x: Tensor, max_iter: int) -> _Memory:
        """Allocate room for the first steps."""
        limit = min(self.memory or max_iter, max_iter)
        room = min(limit, 7) + 1
        return _Memory(
            steps=x.new_empty(room, *x.shape),
            gram=x.new_zeros(len(x), room, room, dtype=torch.float64),
            valid=x.new_zeros(len(x), room, dtype=torch.bool),
            limit=limit,
        )

    def step(self, memory: _Memory, x: Tensor, y: Tensor, r: Tensor) -> None:
        """Overwrite x with x + s, s being the quasi-Newton step; the first is beta r."""
        past = memory.count
        if past == len(memory.steps):
            _grow(memory)
        step = memory.steps[past]
        torch.mul(r, self.beta, out=step)
        if past:
            weights, shrink = self._coefficients(memory)
            if past > 1:
                combine(memory.steps[1:past], weights, step, out=step)
            step.div_(shrink[:, None])
        x.add_(step)
        if past == memory.limit:  # full: only the newest step is kept
            memory.steps[0] = step
            past = 0
        memory.valid[:, past] = True
        memory.count = past + 1
        memory.taken += 1

    def _coefficients(self, memory: _Memory) -> tuple[Tensor, Tensor]:
        """Enter the last step into the Gram matrix; return c_0 .. c_{n-1}, (B, n), and 1 - c_n, (B,).

        The slot after the last step holds beta r.
        """
        size = memory.count
        row, target = inner(memory.steps[:size], memory.steps[size - 1 : size + 1]).unbind(
            1
        )  # (B, n + 1) each
        memory.gram[:, size - 1, :size] = memory.gram[:, :size, size - 1] = row
        gram = memory.gram[:, :size, :size]
        norms = gram.diagonal(dim1=1, dim2=2)
        usable = memory.valid[:, :size] & (norms > 0)

        # row j:  <s_j, s_j> c_j - sum_{i<j} <s_j, s_{i+1}> c_i = beta <s_j, r>
        system = pad(-gram[:, :, 1:], (0, 1)).tril(-1) * usable[:, :, None] * usable[:, None, :]
        system.diagonal(dim1=1, dim2=2).copy_(torch.where(usable, norms, 1.0))
        target = target.where(usable, 0.0)
        c = torch.linalg.solve_triangular(system, target[:, :, None], upper=False)[:, :, 0]

        shrink = 1 - c[:, -1]
        good = c.isfinite().all(1) & (shrink.abs() > 1e-6)  # else a plain step
        weights = torch.where(good[:, None], c, 0.0)[:, :-1]
        return weights, torch.where(good, shrink, 1.0).to(memory.steps.dtype)

    def transposed_inverse(self, memory: _Memory, steps: Tensor) -> Rows:
        """Return v -> P^T v from the steps that each sample has taken since its last restart."""
        count = memory.count
        numbers = torch.arange(memory.taken - count, memory.taken, device=steps.device)
        # A sample that needed k evaluations took k - 1 steps; what came later was put back.
        usable = memory.valid[:, :count] & (numbers < (steps - 1)[:, None])
        past = memory.steps[:count]
        factors = (usable[:, :-1] & usable[:, 1:]).to(past.dtype)  # of s_j and s_{j+1}
        factors = factors / past[:-1].square().sum(2).mT.clamp(min=torch.finfo(past.dtype).tiny)

        def apply(v: Tensor) -> Tensor:
            # v <- beta v, then v <- v + s_j <s_{j+1}, v> / <s_j, s_j> for j = n - 1, ..., 0: the product form
            # of the inverse Jacobian (Kelley 1995, 7.3), transposed
            v = self.beta * v
            for j in reversed(range(count - 1)):
                along = (past[j + 1] * v).sum(1) * factors[:, j]
                v = torch.addcmul(v, past[j], along[:, None])
            return v

        return apply

    def restart(self, memory: _Memory, rows: Tensor) -> None:
        """Forget all steps of these samples, also the last, which was not taken."""
        memory.valid &= ~rows[:, None]

    def keep(self, memory: _Memory, index: Tensor) -> None:
        """Drop the other samples from every buffer."""
        memory.steps, memory.gram = memory.steps[:, index], memory.gram[index]
        memory.valid = memory.valid[index]


def _grow(memory: _Memory) -> None:
    """Double the room, up to the limit."""
    room = len(memory.steps)
    more = min(memory.limit + 1, 2 * room) - room
    memory.steps = torch.cat([memory.steps, memory.steps.new_empty(more, *memory.steps.shape[1:])])
    memory.gram, memory.valid = pad(memory.gram, (0, more, 0, more)), pad(memory.valid, (0, more))
