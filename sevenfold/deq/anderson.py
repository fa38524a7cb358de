"""Anderson acceleration (Anderson 1965; the type-II form of Walker and Ni 2011)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.deq.base import Solver
from sevenfold.deq.history import combine, dot, inner


@dataclass
class _Memory:
    dy: Tensor  # (m, B, D) ring of differences of f(x)
    dr: Tensor  # (m, B, D) ring of differences of the residual
    gram: Tensor  # (B, m, m) inner products of dr, float64; zero where a sample may not use a difference
    target: Tensor  # (B, m) inner products of dr with the residual, float64
    fresh: Tensor | None = None  # (B,) the samples whose next difference would span a restart
    y: Tensor | None = None  # (B, D) previous f(x)
    r: Tensor | None = None  # (B, D) previous residual
    count: int = 0  # differences taken so far


class Anderson(Solver):
    """Anderson acceleration: the next point minimizes the residual over the affine hull of the last ones.

    With r = f(x) - x and the differences dR, dX of the last ``memory`` points,

        gamma = argmin |r - dR gamma|,    x <- x + beta r - (dX + beta dR) gamma.

    The least squares are solved in float64 by normal equations, one new Gram row a step, scaled to a unit
    diagonal before ``ridge`` is added. The ridge is therefore relative (an absolute one swamps the system
    once residuals are small) and never less than a few units of the state's precision. ``growth`` is the
    safeguard: a sample whose residual exceeds ``growth`` times its lowest restarts from its best state.
    """

    def __init__(
        self, *, memory: int = 6, beta: float = 1.0, ridge: float = 1e-12, growth: float = 2.0
    ) -> None:
        if memory < 2:
            raise ConfigError("memory", f"is {memory}; expected at least 2 points")
        if not 0 < beta <= 1:
            raise ConfigError("beta", f"is {beta}; expected a step length in (0, 1]")
        if ridge < 0:
            raise ConfigError("ridge", f"is {ridge}; expected 0 or more")
        if growth <= 1:
            raise ConfigError("growth", f"is {growth}; expected more than 1")
        self.memory, self.beta, self.ridge, self.growth = memory, beta, ridge, growth

    def start(self, x: Tensor, max_iter: int) -> _Memory:
        """Allocate two rings of ``memory - 1`` differences (fewer if the solve is shorter)."""
        size = max(1, min(self.memory, max_iter) - 1)
        return _Memory(
            dy=x.new_empty(size, *x.shape),
            dr=x.new_empty(size, *x.shape),
            gram=x.new_zeros(len(x), size, size, dtype=torch.float64),
            target=x.new_zeros(len(x), size, dtype=torch.float64),
        )

    def step(self, memory: _Memory, x: Tensor, y: Tensor, r: Tensor) -> None:
        """Overwrite x with the mixed point; the first step is a plain one."""
        if memory.y is None or memory.r is None:
            x.add_(r, alpha=self.beta)
        else:
            slot = memory.count % len(memory.dr)
            torch.sub(y, memory.y, out=memory.dy[slot])
            torch.sub(r, memory.r, out=memory.dr[slot])
            memory.count += 1
            gamma = self._coefficients(memory, slot, r)
            used = gamma.shape[1]
            combine(memory.dy[:used], gamma, y, -1, out=x)
            if self.beta != 1:  # y - dY gamma is the full step; go back by 1 - beta along its residual
                x.sub_(combine(memory.dr[:used], gamma, r, -1), alpha=1 - self.beta)
        memory.y, memory.r = y, r

    def _coefficients(self, memory: _Memory, slot: int, r: Tensor) -> Tensor:
        """Enter the difference at ``slot`` into the normal equations and return gamma, (B, n)."""
        used = min(memory.count, len(memory.dr))
        newest = memory.dr[slot]
        row = inner(memory.dr[:used], newest[None])[:, 0]  # (B, n)
        if memory.fresh is not None:
            row, memory.fresh = row.masked_fill(memory.fresh[:, None], 0.0), None
        gram, target = memory.gram[:, :used, :used], memory.target[:, :used]
        gram[:, slot] = gram[:, :, slot] = row
        target += row  # <dr_i, r> = <dr_i, old r> + <dr_i, dr>
        target[:, slot] = dot(newest, r)
        return _solve(gram, target, max(self.ridge, 4 * torch.finfo(r.dtype).eps))

    def restart(self, memory: _Memory, rows: Tensor) -> None:
        """Forget all differences of these samples, and the one that would span the jump."""
        memory.gram.masked_fill_(rows[:, None, None], 0.0)
        memory.fresh = rows

    def keep(self, memory: _Memory, index: Tensor) -> None:
        """Drop the other samples from every buffer."""
        memory.dy, memory.dr = memory.dy[:, index], memory.dr[:, index]
        memory.gram, memory.target = memory.gram[index], memory.target[index]
        for name in ("fresh", "y", "r"):
            if (tensor := getattr(memory, name)) is not None:
                setattr(memory, name, tensor[index])


def _solve(gram: Tensor, target: Tensor, ridge: float) -> Tensor:
    """Solve the scaled and ridged normal equations, (B, n); 0 (a plain step) where that fails."""
    diagonal = gram.diagonal(dim1=1, dim2=2)
    scale = diagonal.rsqrt().masked_fill_(diagonal <= 0, 0.0)
    system = gram * (scale[:, :, None] * scale[:, None, :])
    system.diagonal(dim1=1, dim2=2).fill_(1 + ridge)
    factor, info = torch.linalg.cholesky_ex(system)
    gamma = torch.cholesky_solve((scale * target)[:, :, None], factor)[:, :, 0]
    return (scale * gamma).masked_fill_((info != 0)[:, None], 0.0)
