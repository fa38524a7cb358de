"""Anderson acceleration (Anderson 1965; the type-II form of Walker and Ni 2011)."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sevenfold.deq.base import Solver
from sevenfold.deq.history import combine, inner
from sevenfold.errors import ConfigError
from sevenfold.ranges import AtLeastTwo, Growth, NonNegative, PositiveShare


@dataclass
class _Memory:
    """Point j lies in slot j % m of both rings; a new residual turns the one before it into a difference."""

    y: Tensor  # (m, B, D) ring of f(x)
    dr: Tensor  # (m, B, D) ring of differences r_{j+1} - r_j, but for the newest slot: r itself
    gram: Tensor  # (B, m, m) inner products of dr, float64; zero where a sample may not use a difference
    target: Tensor  # (B, m) inner products of dr with the residual, float64
    fresh: Tensor | None = None  # (B,) the samples whose next difference would span a restart
    count: int = 0  # points entered so far


class _Past(NamedTuple):
    """The same as tensors of fixed size: oldest first, zeros where there is nothing yet."""

    y: Tensor  # (m, B, D)
    dr: Tensor  # (m - 1, B, D)
    r: Tensor  # (B, D) the last residual
    gram: Tensor  # (B, m - 1, m - 1)
    target: Tensor  # (B, m - 1)
    fresh: Tensor  # (B,)
    options: (
        Tensor  # beta and ridge: numbers of Python would become constants of a graph, or fail in its loop
    )


class Anderson(Solver):
    """Anderson acceleration: the next point minimizes the residual over the affine hull of the last ones.

    With r = f(x) - x and the differences dR, dX of the last ``memory`` points,

        gamma = argmin |r - dR gamma|,    x <- x + beta r - (dX + beta dR) gamma.

    The least squares are solved in float64 by normal equations, one new Gram row a step, scaled to a unit
    diagonal before ``ridge`` is added: an absolute ridge would swamp the system once residuals are small.

    Args:
        memory: the number of past points that a step combines, at least 2.
        beta: length of the step along the residual, above 0 and at most 1 (the full step).
        ridge: regularization of the least squares, relative to their unit diagonal; never less than four
            times the machine epsilon of the state.
        growth: a sample whose residual exceeds ``growth`` times its lowest so far restarts from its best
            state; above 1, infinity never restarts.

    Example:
        >>> from sevenfold.deq import Stop, solve
        >>> z0 = (torch.zeros(1, 1, dtype=torch.float64),)
        >>> solution = solve(lambda z: (z[0].cos(),), z0, Anderson(), max_iter=30, stop=Stop(tol=1e-10))
        >>> solution.counts()["converged"]
        1
    """

    def __init__(
        self,
        *,
        memory: AtLeastTwo = 6,
        beta: PositiveShare = 1.0,
        ridge: NonNegative = 1e-12,
        growth: Growth = 2.0,
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
        """Allocate two rings of ``memory`` points (fewer if the solve is shorter)."""
        size = max(2, min(self.memory, max_iter))
        return _Memory(
            y=x.new_empty(size, *x.shape),
            dr=x.new_empty(size, *x.shape),
            gram=x.new_zeros(len(x), size, size, dtype=torch.float64),
            target=x.new_zeros(len(x), size, dtype=torch.float64),
        )

    def room(self, memory: _Memory, y: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """Return the oldest slots of the rings: what is written there needs no copy."""
        slot = memory.count % len(memory.y)
        return memory.y[slot], memory.dr[slot]

    def step(self, memory: _Memory, x: Tensor, y: Tensor, r: Tensor) -> None:
        """Overwrite x with the mixed point; the first step is a plain one."""
        if memory.count == 0:
            x.add_(r, alpha=self.beta)
        else:
            gamma = self._coefficients(memory, r)
            # y - sum_j gamma_j (y_{j+1} - y_j) as one sum over the points; the newest slot has gamma 0
            weights = gamma - gamma.roll(1, 1)
            weights[:, memory.count % len(memory.y)] += 1
            combine(memory.y[: weights.shape[1]], weights, out=x)
            if self.beta != 1:  # this is the full step; go back by 1 - beta along its residual
                x.sub_(combine(memory.dr[: gamma.shape[1]], -gamma, r), alpha=1 - self.beta)
        memory.count += 1

    def _coefficients(self, memory: _Memory, r: Tensor) -> Tensor:
        """Form the newest difference, enter it into the normal equations and return gamma, (B, n)."""
        size = len(memory.dr)
        newest, last, used = memory.count % size, (memory.count - 1) % size, min(memory.count + 1, size)
        difference = torch.sub(r, memory.dr[last], out=memory.dr[last])
        row = inner(memory.dr[:used], difference[None])[:, 0]  # (B, n)
        along = row[:, newest]  # <r, dr>, for r lies there
        if memory.fresh is not None:
            row, memory.fresh = row.masked_fill(memory.fresh[:, None], 0.0), None
        gram, target = memory.gram[:, :used, :used], memory.target[:, :used]
        gram[:, last] = gram[:, :, last] = row
        gram[:, newest] = gram[:, :, newest] = 0.0
        target += row  # <dr_i, r> = <dr_i, old r> + <dr_i, dr>
        target[:, last] = along
        return _solve(gram, target, max(self.ridge, 4 * torch.finfo(r.dtype).eps))

    def restart(self, memory: _Memory, rows: Tensor) -> None:
        """Forget all differences of these samples, and the one that would span the jump."""
        memory.gram.masked_fill_(rows[:, None, None], 0.0)
        memory.fresh = rows

    def keep(self, memory: _Memory, index: Tensor) -> None:
        """Drop the other samples from every buffer."""
        memory.y, memory.dr = memory.y[:, index], memory.dr[:, index]
        memory.gram, memory.target = memory.gram[index], memory.target[index]
        memory.fresh = None if memory.fresh is None else memory.fresh[index]

    def begin(self, x: Tensor, steps: int) -> _Past:
        """Return a past of zeros; the first difference would span the start."""
        size = max(2, min(self.memory, steps))
        rows = x.new_ones(x.shape[0], dtype=torch.float64)
        return _Past(
            y=x.new_zeros(size, *x.shape),
            dr=x.new_zeros(size - 1, *x.shape),
            r=torch.zeros_like(x),
            gram=rows.new_zeros(x.shape[0], size - 1, size - 1),
            target=rows.new_zeros(x.shape[0], size - 1),
            fresh=rows > 0,
            options=rows.new_tensor([self.beta, max(self.ridge, 4 * torch.finfo(x.dtype).eps)]),
        )

    def advance(self, memory: _Past, x: Tensor, y: Tensor, r: Tensor) -> tuple[Tensor, _Past]:
        """Return the mixed point and the past with this point in it."""
        points, new = torch.cat([memory.y[1:], y[None]]), r - memory.r
        dr = torch.cat([memory.dr[1:], new[None]])
        # Sums of products in place of matrix products, which a device may compute in fewer digits.
        row = (dr * new).sum(2, dtype=torch.float64).mT.masked_fill(memory.fresh[:, None], 0.0)
        gram = torch.cat([memory.gram[:, 1:, 1:], row[:, None, :-1]], 1)
        gram = torch.cat([gram, row[:, :, None]], 2)
        target = torch.cat(
            [memory.target[:, 1:] + row[:, :-1], (new * r).sum(1, dtype=torch.float64)[:, None]], 1
        )
        beta, ridge = memory.options.unbind(0)
        gamma = _solve(gram, target, ridge).to(r.dtype).mT[:, :, None]
        x = y - (gamma * (points[1:] - points[:-1])).sum(0)
        x = x - (1 - beta.to(r.dtype)) * (r - (gamma * dr).sum(0))
        fresh = torch.zeros_like(memory.fresh)
        return x, _Past(points, dr, r, gram, target, fresh, memory.options)

    def forget(self, memory: _Past, rows: Tensor) -> _Past:
        """Return the past without the differences of these samples."""
        return memory._replace(gram=memory.gram.masked_fill(rows[:, None, None], 0.0), fresh=rows)


def _solve(gram: Tensor, target: Tensor, ridge: float | Tensor) -> Tensor:
    """Solve the scaled and ridged normal equations, (B, n); 0 (a plain step) where that fails."""
    diagonal = gram.diagonal(dim1=1, dim2=2)
    scale = diagonal.rsqrt().masked_fill_(diagonal <= 0, 0.0)
    # A unit diagonal: differences shrink by orders of magnitude on the way to the fixed point.
    system = gram * (scale[:, :, None] * scale[:, None, :])
    system.diagonal(dim1=1, dim2=2).fill_(1 + ridge)
    factor, info = torch.linalg.cholesky_ex(system)
    gamma = torch.cholesky_solve((scale * target)[:, :, None], factor)[:, :, 0]
    return (scale * gamma).masked_fill_((info != 0)[:, None], 0.0)
