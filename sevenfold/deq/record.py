"""The books of a solve, per sample: traces, the state to return, who still runs and why others stopped."""

import math

import torch
from torch import Tensor

from sevenfold.deq.base import Measured, Solution, Status, Stop
from sevenfold.deq.layout import Layout


class Record:
    """All tensors here span the whole batch; ``rows`` says which of its samples the solver still holds.

    ``watched`` tells that the host looks at the device after every step anyway, so that rows may be copied
    only where needed; otherwise nothing here waits for the device, except :meth:`drop_finished`.
    """

    def __init__(self, x: Tensor, stop: Stop, max_iter: int, *, keep_last: bool, watched: bool) -> None:
        batch = len(x)
        self.stop, self.watched = stop, watched
        self.rows: slice | Tensor = slice(None)
        self.best = x.clone()
        self.last = x.clone() if keep_last else None
        self.status = torch.full((batch,), Status.max_iter, device=x.device)  # until something else happens
        self.steps, self.step_of_best, self.step_of_last = (torch.zeros_like(self.status) for _ in range(3))
        self.best_score = torch.full((batch,), math.inf, dtype=torch.float64, device=x.device)
        self.scale = torch.zeros_like(self.best_score)
        self.traces = torch.full((4, max_iter, batch), math.nan, dtype=torch.float64, device=x.device)
        self.extended = False  # whether the measure gives pixels and rest

    @property
    def running(self) -> Tensor:
        """Return which of the held samples are unfinished."""
        return self.status[self.rows] == Status.max_iter

    def update(self, step: int, y: Tensor, measured: Measured) -> tuple[Tensor, Tensor]:
        """Enter evaluation ``step`` (from 1); return the deciding residuals, and which samples are live."""
        rows, running = self.rows, self.running
        self._trace(step, running, measured)
        score, small = self.stop.judge(measured)
        score = score.double()
        live = running & (measured.abs + measured.norm + score).isfinite()
        self.steps[rows] = self.steps[rows].where(~running, step)

        better = live & (score < self.best_score[rows])
        self.best_score[rows] = score.where(better, self.best_score[rows])
        self.step_of_best[rows] = self.step_of_best[rows].where(~better, step)
        self._copy(self.best, better, y)
        if self.last is not None:
            self.step_of_last[rows] = self.step_of_last[rows].where(~live, step)
            self._copy(self.last, live, y)
        if step == 1:
            self.scale = (measured.abs + measured.norm).double()
        self.status[rows] = self._outcome(step, measured, small, live).where(running, self.status[rows])
        return score, live

    def _outcome(self, step: int, measured: Measured, small: Tensor, live: Tensor) -> Tensor:
        """Return the status of samples that were running before this evaluation."""
        outcome = torch.full_like(small, Status.max_iter, dtype=torch.long)
        if self.stop.patience:
            tired = step - self.step_of_best[self.rows] >= self.stop.patience
            outcome.masked_fill_(tired, Status.stalled)
        outcome.masked_fill_(measured.abs > self.stop.divergence * self.scale[self.rows], Status.diverged)
        return outcome.masked_fill_(small, Status.converged).masked_fill_(~live, Status.nonfinite)

    def _trace(self, step: int, running: Tensor, measured: Measured) -> None:
        values = [measured.abs, measured.rel]
        if measured.pixels is not None and measured.rest is not None:
            self.extended = True
            values += [measured.pixels, measured.rest]
        for trace, value in zip(self.traces, values, strict=False):
            trace[step - 1, self.rows] = value.double().where(running, math.nan)

    def _copy(self, target: Tensor, where: Tensor, source: Tensor) -> None:
        """Copy the held rows ``where`` of ``source`` into the rows of the whole batch."""
        if not isinstance(self.rows, Tensor):
            copy_rows(target, where, source, watched=self.watched)
        elif self.watched:
            target[self.rows[where]] = source[where]
        else:
            target[self.rows] = torch.where(where[:, None], source, target[self.rows])

    def restore(self, x: Tensor, where: Tensor) -> None:
        """Overwrite the held rows ``where`` of x with the best states of those samples."""
        if not isinstance(self.rows, Tensor):
            copy_rows(x, where, self.best, watched=self.watched)
        elif self.watched:
            x[where] = self.best[self.rows[where]]
        else:
            torch.where(where[:, None], self.best[self.rows], x, out=x)

    def drop_finished(self) -> Tensor:
        """Release the finished samples; return the positions, among those held so far, of the others."""
        keep = self.running.nonzero()[:, 0]
        self.rows = self.rows[keep] if isinstance(self.rows, Tensor) else keep
        return keep

    def value(self) -> Tensor:
        """Return the state to hand out as it stands now, (B, D)."""
        return self.best if self.last is None else self.last

    def solution(self, layout: Layout, indexed: list[Tensor], steps: int) -> Solution:
        """Close the books after ``steps`` evaluations."""
        chosen = self.step_of_best if self.last is None else self.step_of_last
        absolute, relative, pixels, rest = self.traces[:, :steps]

        def at(trace: Tensor) -> Tensor:
            return trace.gather(0, (chosen - 1).clamp(min=0)[None])[0].where(chosen > 0, math.inf)

        return Solution(
            value=layout.unpack(self.value()),
            indexed=tuple(map(layout.unpack, indexed)),
            residual_abs=at(absolute),
            residual_rel=at(relative),
            steps=self.steps,
            status=self.status,
            step_of_best=self.step_of_best,
            trace_abs=absolute,
            trace_rel=relative,
            trace_pixels=pixels if self.extended else None,
            trace_rest=rest if self.extended else None,
        )


def copy_rows(target: Tensor, where: Tensor, source: Tensor, *, watched: bool) -> None:
    """Copy the rows of ``source`` where a mask (B,) is true; the host reads the mask only if ``watched``."""
    if not watched:
        torch.where(where[:, None], source, target, out=target)
    elif where.all():
        target.copy_(source)
    elif where.any():
        target[where] = source[where]
