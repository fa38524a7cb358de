"""The books of a solve, per sample: traces, the state to return, who still runs and why others stopped."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sevenfold.deq.base import Measured, Solution, Status, Stop
from sevenfold.deq.layout import Layout


class Entry(NamedTuple):
    """What one evaluation means for each row: all of shape (B,)."""

    score: Tensor  # the residual that decides
    live: Tensor  # running, and the evaluation was finite
    better: Tensor  # the lowest residual so far
    best_score: Tensor  # that residual
    small: Tensor  # within the tolerance
    grown: Tensor  # beyond the limit
    over: Tensor  # running until now, and no longer


def enter(stop: Stop, measured: Measured, limit: Tensor, running: Tensor, best_score: Tensor) -> Entry:
    """Judge an evaluation of the rows that are ``running``."""
    score, small = stop.judge(measured)
    live = running & (score + measured.norm < math.inf)
    # The state with the lowest residual is returned: a solver need not improve with every step, as in
    # Bai, Koltun and Kolter 2020.
    better = live & (score < best_score)
    best_score = torch.where(better, score, best_score)
    grown = measured.abs > limit
    return Entry(score, live, better, best_score, small, grown, running & (~live | small | grown))


def reasons(entry: Entry) -> Tensor:
    """Return the :class:`Status` code with which a row would end here, (B,)."""
    why = torch.full_like(entry.small, int(Status.stalled), dtype=torch.long)
    why = why.masked_fill_(entry.grown, int(Status.diverged)).masked_fill_(entry.small, int(Status.converged))
    return why.masked_fill_(~entry.live, int(Status.nonfinite))


class Record:
    """Large tensors and traces span the whole batch; the other attributes only the samples still held.

    ``rows`` are the positions of the held samples in the batch (None: all are held). ``watched`` tells that
    the host looks at the device after every step anyway, so that work may be skipped where there is none;
    otherwise nothing here waits for the device, except :meth:`unfinished` and :meth:`drop_finished`.
    """

    def __init__(self, x: Tensor, stop: Stop, *, keep_last: bool, watched: bool) -> None:
        batch = len(x)
        self.stop, self.watched = stop, watched
        self.rows: Tensor | None = None
        self.running = x.new_ones(batch, dtype=torch.bool)
        self.steps = x.new_zeros(batch, dtype=torch.long)
        self.status = torch.full_like(self.steps, Status.max_iter)  # until something else happens
        self.lows = torch.zeros_like(self.steps)  # step of the lowest residual
        self.score = self.best_score = x.new_full((batch,), math.inf, dtype=torch.float64)
        self.left: int | None = None
        self.live = self.running  # running, and its last evaluation was finite
        self.limit = self.best_score
        self._best = x.clone()
        self._pending: Tensor | None = None  # the best states of all rows, where they were computed
        self.last = x.clone() if keep_last else None
        self.log: list[
            tuple[Tensor | None, Measured]
        ] = []  # what was measured at each step, and for which rows
        self.outcome = torch.stack([self.steps, self.status, self.lows])  # of the whole batch, once written

    def update(self, step: int, y: Tensor, measured: Measured) -> None:
        """Enter evaluation ``step`` (from 1): y = f(x), and what was measured of the held samples."""
        measured = Measured(*(value.double() for value in measured if value is not None))
        self.log.append((self.rows, measured))
        if step == 1:
            self.limit = self.stop.divergence * (measured.abs + measured.norm)
        entry = enter(self.stop, measured, self.limit, self.running, self.best_score)
        self.score, self.live, self.best_score = entry.score, entry.live, entry.best_score
        self.lows.masked_fill_(entry.better, step)
        self._improve(entry.better, y)
        if self.last is not None:
            self._copy(self.last, self.live, y)
        over = entry.over
        if self.stop.patience:
            over |= self.running & (step - self.lows >= self.stop.patience)
        if not self.watched or over.any():
            self._end(step, over, entry)

    @property
    def best(self) -> Tensor:
        """Return the best states of the whole batch, (B, D)."""
        if self._pending is not None:
            self._best.copy_(self._pending)
            self._pending = None
        return self._best

    def release(self, room: Tensor) -> None:
        """Copy the best states if they still lie in ``room``, which is about to be written over."""
        if self._pending is not None and self._pending.data_ptr() == room.data_ptr():
            self._best.copy_(self._pending)
            self._pending = None

    def _improve(self, better: Tensor, y: Tensor) -> None:
        """Take the rows ``better`` of y as best; where all are, note only their place (copies are dear)."""
        if self.watched and self.rows is None and better.all():
            self._pending = y
        else:
            self._copy(self.best, better, y)

    def _end(self, step: int, over: Tensor, entry: Entry) -> None:
        """Note that, and why, the samples in ``over`` end at this step."""
        self.status = torch.where(over, reasons(entry), self.status)
        self.running = self.running & ~over
        self.steps.masked_fill_(over, step)
        self.left = None

    def unfinished(self) -> int:
        """Return how many of the held samples still run."""
        if self.left is None or not self.watched:
            self.left = int(self.running.sum())
        return self.left

    def _copy(self, target: Tensor, where: Tensor, source: Tensor) -> None:
        """Copy the held rows ``where`` of ``source`` into the rows of the whole batch."""
        if self.rows is None:
            copy_rows(target, where, source, watched=self.watched)
        elif self.watched:
            target[self.rows[where]] = source[where]
        else:
            target[self.rows] = torch.where(where[:, None], source, target[self.rows])

    def restore(self, x: Tensor, where: Tensor) -> None:
        """Overwrite the held rows ``where`` of x with the best states of those samples."""
        if self.rows is None:
            copy_rows(x, where, self.best, watched=self.watched)
        elif self.watched:
            x[where] = self.best[self.rows[where]]
        else:
            torch.where(where[:, None], self.best[self.rows], x, out=x)

    def drop_finished(self) -> Tensor:
        """Let the finished samples go; return the positions, among those held so far, of the others."""
        self._write_outcome()
        keep = self.running.nonzero()[:, 0]
        self.rows = keep if self.rows is None else self.rows[keep]
        for name in ("running", "steps", "status", "lows", "score", "best_score", "live", "limit"):
            setattr(self, name, getattr(self, name)[keep])
        return keep

    def _write_outcome(self) -> None:
        """Write the outcome of the held samples into that of the batch."""
        held = torch.stack([self.steps, self.status, self.lows])
        if self.rows is None:
            self.outcome = held
        else:
            self.outcome[:, self.rows] = held

    def value(self) -> Tensor:
        """Return the state to hand out as it stands now, (B, D)."""
        return self.best if self.last is None else self.last

    def solution(self, layout: Layout, indexed: list[Tensor]) -> Solution:
        """Return the solution with its statistics."""
        self.steps.masked_fill_(self.running, len(self.log))
        self._write_outcome()
        steps, status, lows = self.outcome
        return recorded_solution(
            layout,
            value=self.value(),
            best=self.last is None,
            indexed=indexed,
            outcome=(steps, status, lows),
            measured=self._measured(steps),
        )

    def _measured(self, steps: Tensor) -> Measured:
        """Assemble the traces, (evaluations, B) each, NaN after a sample's last step."""
        later = torch.arange(len(self.log), device=steps.device)[:, None] >= steps
        kinds = []
        for values in zip(*(measured for _, measured in self.log), strict=True):
            if values[0] is None:
                continue
            if self.rows is None:
                trace = torch.stack(values)
            else:
                trace = values[0].new_full((len(values), len(steps)), math.nan)
                for line, (rows, _), value in zip(trace, self.log, values, strict=True):
                    line[slice(None) if rows is None else rows] = value
            kinds.append(trace.masked_fill_(later, math.nan))
        return Measured(*kinds)


def recorded_solution(
    layout: Layout,
    *,
    value: Tensor,
    best: bool,
    indexed: list[Tensor],
    outcome: tuple[Tensor, Tensor, Tensor],
    measured: Measured,
) -> Solution:
    """Return the solution of a solve that has ended.

    Args:
        layout: of the state.
        value: what is returned, (B, D).
        best: whether that is the state of the lowest residual, else that of the last finite evaluation.
        indexed: states recorded in between, (B, D) each.
        outcome: steps, status and step of the lowest residual of each sample, (B,).
        measured: traces, (evaluations, B).
    """
    steps, status, lows = outcome
    chosen = lows if best else steps - (status == int(Status.nonfinite)).long()

    def at(trace: Tensor) -> Tensor:
        return trace.gather(0, (chosen - 1).clamp(min=0)[None])[0].where(chosen > 0, math.inf)

    return Solution(
        value=layout.unpack(value),
        indexed=tuple(map(layout.unpack, indexed)),
        residual_abs=at(measured.abs),
        residual_rel=at(measured.rel),
        steps=steps,
        status=status,
        step_of_best=lows,
        trace_abs=measured.abs,
        trace_rel=measured.rel,
        trace_pixels=measured.pixels,
        trace_rest=measured.rest,
    )


def copy_rows(target: Tensor, where: Tensor, source: Tensor, *, watched: bool) -> None:
    """Copy the rows of ``source`` where a mask (B,) is true; the host reads the mask only if ``watched``."""
    if not watched:
        torch.where(where[:, None], source, target, out=target)
    elif where.all():
        target.copy_(source)
    elif where.any():
        target[where] = source[where]
