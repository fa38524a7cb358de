"""The book-keeping of a solve, per sample: traces, the state to return, who runs, why others stopped."""

import math

import torch
from torch import Tensor

from sevenfold.deq.base import Measured, Solution, Status, Stop
from sevenfold.deq.layout import Layout


class Record:
    """All tensors span the whole batch; ``rows`` says which of its samples the solver still holds.

    ``watched`` tells that the host looks at the device after every step anyway, so that rows may be copied
    only where needed; otherwise nothing here waits for the device.
    """

    def __init__(self, x: Tensor, stop: Stop, max_iter: int, *, keep_last: bool, watched: bool) -> None:
        def full(value: float, *shape: int) -> Tensor:
            return torch.full((*shape, len(x)), value, dtype=torch.float64, device=x.device)

        self.stop, self.watched = stop, watched
        self.rows: slice | Tensor = slice(None)
        self.best = x.clone()
        self.last = x.clone() if keep_last else None
        self.status = torch.full((len(x),), Status.max_iter, device=x.device)
        self.steps = torch.zeros_like(self.status)
        self.step_of_best = torch.zeros_like(self.status)
        self.step_of_last = torch.zeros_like(self.status)
        self.best_score, self.scale = full(math.inf), full(0.0)
        self.traces = full(math.nan, 3, max_iter)  # abs, rel, pixels
        self.has_pixels = False

    @property
    def running(self) -> Tensor:
        """Return which of the held samples are unfinished."""
        return self.status[self.rows] == Status.max_iter

    def update(self, step: int, y: Tensor, measured: Measured) -> tuple[Tensor, Tensor]:
        """Enter evaluation ``step`` (from 1); return the deciding residuals held, and which are live."""
        rows, running = self.rows, self.running
        self._trace(step, running, measured)
        score, small = self.stop.judge(measured)
        score = score.double()
        live = running & measured.abs.isfinite() & measured.norm.isfinite() & score.isfinite()
        self.steps[rows] = torch.where(running, step, self.steps[rows])

        better = live & (score < self.best_score[rows])
        self.best_score[rows] = torch.where(better, score, self.best_score[rows])
        self.step_of_best[rows] = torch.where(better, step, self.step_of_best[rows])
        self._copy(self.best, better, y)
        if self.last is not None:
            self.step_of_last[rows] = torch.where(live, step, self.step_of_last[rows])
            self._copy(self.last, live, y)

        if step == 1:
            self.scale = (measured.abs + measured.norm).double()
        ended = torch.where(
            measured.abs > self.stop.divergence * self.scale[rows], Status.diverged, Status.max_iter
        )
        if self.stop.patience:
            tired = step - self.step_of_best[rows] >= self.stop.patience
            ended = torch.where(tired, Status.stalled, ended)
        ended = torch.where(small, Status.converged, ended)
        ended = torch.where(live, ended, Status.nonfinite)
        self.status[rows] = torch.where(running, ended, self.status[rows])
        return score, live

    def _trace(self, step: int, running: Tensor, measured: Measured) -> None:
        values = [measured.abs, measured.rel]
        if measured.pixels is not None:
            self.has_pixels = True
            values.append(measured.pixels)
        for trace, value in zip(self.traces, values, strict=False):
            trace[step - 1, self.rows] = torch.where(running, value.double(), math.nan)

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
        at = (chosen - 1).clamp(min=0)[None]
        absolute, relative, pixels = self.traces[:, :steps]
        never = chosen == 0
        return Solution(
            value=layout.unpack(self.value()),
            indexed=tuple(map(layout.unpack, indexed)),
            residual_abs=torch.where(never, math.inf, absolute.gather(0, at)[0]),
            residual_rel=torch.where(never, math.inf, relative.gather(0, at)[0]),
            steps=self.steps,
            status=self.status,
            step_of_best=self.step_of_best,
            trace_abs=absolute,
            trace_rel=relative,
            trace_pixels=pixels if self.has_pixels else None,
        )


def copy_rows(target: Tensor, where: Tensor, source: Tensor, *, watched: bool) -> None:
    """Copy the rows of ``source`` where a mask (B,) is true; the host reads the mask only if ``watched``."""
    if not watched:
        torch.where(where[:, None], source, target, out=target)
    elif where.all():
        target.copy_(source)
    elif where.any():
        target[where] = source[where]
