"""The loop that drives every solver."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from sevenfold.deq.base import Function, Measure, Measured, Solution, Solver, State, Stop
from sevenfold.deq.layout import Layout
from sevenfold.deq.precision import precision_guard
from sevenfold.deq.preflight import refuse_in_place, versions
from sevenfold.deq.record import Record, copy_rows
from sevenfold.deq.safeguard import Safeguard

COMPACT_AT = 0.25
"""Share of finished samples from which on they are taken out of the batch."""


@torch.no_grad()
def solve(
    f: Function,
    z0: State,
    solver: Solver,
    *,
    max_iter: int,
    stop: Stop | None = None,
    indexing: Sequence[int] = (),
    returned: Literal["best", "last"] = "best",
    check_every: int | None = None,
    compact: bool = False,
    measure: Measure | None = None,
    inverse: bool = False,
) -> Solution:
    """Find z = f(z) from z0, sample by sample, with at most ``max_iter`` evaluations of f.

    Samples are independent: each stops separately and its result does not depend on the others of its batch
    (f must treat them apart too). f is called without gradient as ``f(z)``; z is a view of memory that is
    used again, so f must not keep it.

    Args:
        f: the map; it returns a tuple of the shapes it was given, in any floating dtype.
        z0: a tuple of tensors (B, ...).
        solver: the update rule, for instance ``Anderson(memory=6)``.
        max_iter: most evaluations of f per sample, at least 1.
        stop: when a sample is finished; default ``Stop()``: relative residual 1e-3.
        indexing: increasing evaluation counts (1 .. max_iter) after which the state is also recorded; where
            the solve ends sooner its final state stands in.
        returned: the state with the lowest deciding residual, or that of the last evaluation.
        check_every: evaluations between two looks at the device to see whether all is done; default 1 on CPU,
            4 elsewhere. Results do not depend on it, only the number of idle evaluations does.
        compact: take finished samples out of the batch once they are a quarter of it; f is then called as
            ``f(z, index)`` and must select what it closes over by ``index`` (int64, the samples that remain).
        measure: computes residuals in place of the plain norms over all parts, see :data:`Measure`.
        inverse: return the solver's estimate of (I - J)^-T too, which holds its memory; without ``compact``.

    Returns:
        A :class:`Solution`; not reaching the tolerance is a status, not an exception.

    Example:
        >>> from sevenfold.deq import Anderson
        >>> z0 = (torch.zeros(1, 1, dtype=torch.float64),)
        >>> solution = solve(lambda z: (z[0].cos(),), z0, Anderson(), max_iter=30, stop=Stop(tol=1e-10))
        >>> f"{solution.value[0].item():.6f}"
        '0.739085'
    """
    check_request("max_iter", max_iter, indexing, returned)
    if check_every is not None and check_every < 1:
        raise ValueError(f"check_every is {check_every}; expected at least 1")
    layout = Layout.of(z0)
    x = layout.flat(z0)
    every = check_every or (1 if x.device.type == "cpu" else 4)
    record = Record(x, stop or Stop(), keep_last=returned == "last", watched=every == 1)
    run = _Run(f, solver, layout, record, measure, x, max_iter)
    indexed: list[Tensor] = []
    for step in range(1, max_iter + 1):
        run.evaluate(step)
        if step in indexing:
            indexed.append(record.value().clone())
        if step == max_iter or (step % every == 0 and run.finished(compact)):
            break
        run.advance()
    indexed.extend(record.value() for _ in range(len(indexing) - len(indexed)))
    solution = record.solution(layout, indexed)
    if not inverse or record.rows is not None:  # samples that have left took their memory with them
        return solution
    return replace(solution, inverse=solver.transposed_inverse(run.memory, solution.steps))


def check_request(name: str, steps: int, indexing: Sequence[int], returned: str) -> None:
    """Refuse numbers and words that no solve can follow; ``name`` is that of the number of steps."""
    if steps < 1:
        raise ValueError(f"{name} is {steps}; expected at least 1")
    if sorted(set(indexing)) != list(indexing) or any(not 1 <= step <= steps for step in indexing):
        raise ValueError(f"indexing is {list(indexing)}; expected increasing steps between 1 and {steps}")
    if returned not in ("best", "last"):
        raise ValueError(f"returned is {returned!r}; expected 'best' or 'last'")


class _Run:
    """The moving parts of one solve: the current point, its evaluation, the solver's memory."""

    def __init__(
        self,
        f: Function,
        solver: Solver,
        layout: Layout,
        record: Record,
        measure: Measure | None,
        x: Tensor,
        max_iter: int,
    ) -> None:
        self.f, self.solver, self.measure, self.layout = f, solver, measure, layout
        self.record, self.x = record, x
        self.memory: Any = solver.start(x, max_iter)
        self.guard = Safeguard(record.score, solver.growth) if solver.growth < math.inf else None
        self.y, self.r = torch.empty_like(x), torch.empty_like(x)  # f(x) and f(x) - x
        self.left = len(x)
        self.point: State | None = None  # x as f sees it, while that is a view
        self.shield = precision_guard(x.device)

    def evaluate(self, step: int) -> None:
        """Compute y = f(x) and its residual, and enter both into the record."""
        self.y, self.r = y, r = self.solver.room(self.memory, self.y, self.r)
        self.record.release(y)
        rows = self.record.rows
        z = self.point or self.layout.unpack(self.x)
        if self.layout.views:
            self.point = z
        before = versions(z)
        fz = self.f(z) if rows is None else self.f(z, rows)
        refuse_in_place(z, before)
        with self.shield():
            self.layout.pack(fz, out=y)
            # y = f(x) and r = f(x) - x; z* = f(z*) where r = 0 (Bai, Kolter and Koltun 2019, section 3).
            torch.sub(y, self.x, out=r)
            if self.measure is None:
                measured = Measured(torch.linalg.vector_norm(r, dim=1), torch.linalg.vector_norm(y, dim=1))
            else:
                measured = self.measure(z, self.layout.unpack(y), rows)
            self.record.update(step, y, measured)

    def finished(self, compact: bool) -> bool:
        """Look whether all samples are done; if only some are and ``compact`` is set, take them out."""
        self.left = self.record.unfinished()
        if self.left and compact and self.x.shape[0] - self.left >= COMPACT_AT * self.x.shape[0]:
            self._keep(self.record.drop_finished())
        return self.left == 0

    def advance(self) -> None:
        """Move x to the next point; samples that are done stay at their best state."""
        record = self.record
        with self.shield():
            self.solver.step(self.memory, self.x, self.y, self.r)
        # A step from here would start at a point that extrapolation has made worse.
        if self.guard is not None:
            restart = self.guard.exceeded(record.score, record.live)
            if not record.watched or restart.any():
                self.solver.restart(self.memory, restart)
                copy_rows(self.x, restart, self.y, watched=record.watched)
                record.restore(self.x, self.guard.restart(restart, record.best_score))
        if self.left < self.x.shape[0] or not record.watched:
            record.restore(self.x, ~record.running)

    def _keep(self, index: Tensor) -> None:
        """Drop the samples that are not at the positions ``index``."""
        self.solver.keep(self.memory, index)
        self.x, self.y, self.r, self.point = self.x[index], self.y[index], self.r[index], None
        if self.guard is not None:
            self.guard.keep(index)
