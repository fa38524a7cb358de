"""Broyden's good method in its step form (Kelley 1995, Iterative Methods for Equations, section 7.3)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sevenfold.deq.base import Solver
from sevenfold.deq.history import combine, inner


@dataclass
class _Memory:
    steps: Tensor  # (capacity, B, D) steps s_j = x_{j+1} - x_j
    gram: Tensor  # (B, capacity, capacity) inner products of steps
    valid: Tensor  # (B, capacity) which steps a sample may use
    limit: int
    count: int = 0


class Broyden(Solver):
    """Broyden's good method for g(x) = f(x) - x with g'(x_0) taken as -I, without line search.

    The inverse Jacobian is a product of rank-one corrections that needs the past steps s_j only (half the
    memory of the usual two factors). With c_j = <s_j, z_j> / <s_j, s_j>, z_0 = beta r and z_{j+1} = z_j + c_j
    s_{j+1}, the next step is z_n / (1 - c_n). The recursion is a triangular system in the Gram matrix of the
    steps, so a step of the solver passes over the memory twice.

    ``memory`` steps are kept, then all are forgotten (None: as many as ``max_iter``); storage grows as
    needed.
    """

    def __init__(self, *, memory: int | None = None, beta: float = 1.0, growth: float = math.inf) -> None:
        if memory is not None and memory < 1:
            raise ValueError(f"memory is {memory}; expected at least 1 step, or None for no limit")
        if not 0 < beta <= 2 or growth <= 1:
            raise ValueError(f"expected 0 < beta <= 2 and growth > 1, not {beta} and {growth}")
        self.memory, self.beta, self.growth = memory, beta, growth

    def start(self, x: Tensor, max_iter: int) -> _Memory:
        """Allocate room for the first steps."""
        limit = min(self.memory or max_iter, max_iter)
        room = min(limit, 8)
        return _Memory(
            steps=x.new_empty(room, *x.shape),
            gram=torch.zeros(len(x), room, room, dtype=torch.float64, device=x.device),
            valid=torch.zeros(len(x), room, dtype=torch.bool, device=x.device),
            limit=limit,
        )

    def step(self, memory: _Memory, x: Tensor, y: Tensor, r: Tensor) -> None:
        """Overwrite x with x + s, where s is the quasi-Newton step."""
        if memory.count == 0:
            step = self.beta * r
        else:
            weights, shrink = self._coefficients(memory, r)
            step = (
                combine(memory.steps[1 : memory.count], weights, self.beta * r)
                if memory.count > 1
                else self.beta * r
            )
            step = step / shrink.to(r.dtype)[:, None]
        x.add_(step)
        if memory.count == memory.limit:
            memory.count = 0
        if memory.count == len(memory.steps):
            _grow(memory)
        memory.steps[memory.count] = step
        memory.valid[:, memory.count] = True
        memory.count += 1

    def _coefficients(self, memory: _Memory, r: Tensor) -> tuple[Tensor, Tensor]:
        n = memory.count
        last = memory.steps[n - 1]
        products = inner(memory.steps[:n], last, r)  # (B, 2, n)
        memory.gram[:, n - 1, :n] = memory.gram[:, :n, n - 1] = products[:, 0]
        gram, valid = memory.gram[:, :n, :n], memory.valid[:, :n]
        diagonal = gram.diagonal(dim1=1, dim2=2)
        usable = valid & (diagonal > 0)
        system = torch.zeros_like(gram)
        system[:, :, :-1] = -gram[:, :, 1:].tril(-1)  # row j, column i < j: -<s_j, s_{i+1}>
        system = system * usable[:, :, None] * usable[:, None, :]
        system.diagonal(dim1=1, dim2=2).copy_(torch.where(usable, diagonal, 1.0))
        target = torch.where(usable, self.beta * products[:, 1], 0.0)
        c = torch.linalg.solve_triangular(system, target[:, :, None], upper=False)[:, :, 0]  # (B, n)
        shrink = 1 - c[:, -1]
        bad = ~(shrink.abs() > 1e-6)
        c = torch.where(bad[:, None] | ~usable | ~c.isfinite(), 0.0, c)
        return c[:, :-1], torch.where(bad, 1.0, shrink)

    def restart(self, memory: _Memory, rows: Tensor) -> None:
        """Forget all steps of these samples, the last one (which was not taken) included."""
        memory.valid &= ~rows[:, None]

    def keep(self, memory: _Memory, index: Tensor) -> None:
        """Drop the other samples from every buffer."""
        memory.steps, memory.gram, memory.valid = (
            memory.steps[:, index],
            memory.gram[index],
            memory.valid[index],
        )


def _grow(memory: _Memory) -> None:
    """Double the room, up to the limit."""
    room = len(memory.steps)
    more = min(memory.limit, 2 * room) - room
    memory.steps = torch.cat([memory.steps, memory.steps.new_empty(more, *memory.steps.shape[1:])])
    memory.gram = torch.nn.functional.pad(memory.gram, (0, more, 0, more))
    memory.valid = torch.nn.functional.pad(memory.valid, (0, more))
