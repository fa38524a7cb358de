"""Sampling runs with snapshots, resumption and halving of the batch, the same for all methods."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from sevenfold.diffreps.methods.base import Method, State
from sevenfold.diffreps.sampling_task import Task
from sevenfold.errors import InputError
from sevenfold.files import replace_file

logger = logging.getLogger(__name__)
FRAMES = 60


class RunStopped(Exception):  # noqa: N818 (nothing went wrong)
    """Raised after a run has ended early on request and has written its snapshot."""


def _nobody(fraction: float) -> None:
    """Ignore progress."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Watch:
    """Options for snapshots, frames and progress reports during a run.

    Args:
        snapshot: file of the run's state, written every ``every`` steps; a later call resumes from it.
        every: steps between snapshots.
        frames: number of samples whose first view is recorded, at all steps or about sixty of them.
        stopping: returns true once the run is to end; then a snapshot is written and ``RunStopped`` raised.
        progress: called with the completed share of steps, at every snapshot.
    """

    snapshot: Path | None = None
    every: int = 10
    frames: int = 0
    stopping: Callable[[], bool] = _never
    progress: Callable[[float], None] = _nobody


@dataclass
class Outcome:
    """The samples of a run with their cost.

    Attributes:
        images: (B, K, C, H, W), every view of the pool.
        theta: (B, p) parameters, or images in methods without a representation.
        refused: (B,) refused steps of the solver.
        calls, evaluations, inner: see :class:`~sevenfold.diffreps.methods.base.Counts`.
        seconds: of the run.
        trace: one row of figures for each step.
        frames: (steps, b, C, H, W) first views during the run, or None.
    """

    images: Tensor
    theta: Tensor
    refused: Tensor
    calls: int
    evaluations: int
    inner: int
    seconds: float
    trace: list[dict[str, float]] = field(default_factory=list)
    frames: Tensor | None = None


def run(method: Method, task: Task, watch: Watch = Watch()) -> Outcome:
    """Draw the task's samples.

    Where the device's memory does not suffice, the batch is halved, which changes no sample, and the log says
    so. Raises ``InputError`` where one sample alone does not fit.
    """
    method.check(task)
    try:
        return _run_whole(method, task, watch)
    except torch.OutOfMemoryError:
        if len(task) == 1:
            raise InputError(
                "out of memory with one sample; use a smaller representation or fewer views"
            ) from None
    half = (len(task) + 1) // 2
    logger.warning("out of memory with %d samples at a time; going on with %d", len(task), half)
    # Streams belong to samples, so that the halves draw what the whole batch would have drawn.
    parts = [task.part(slice(0, half)), task.part(slice(half, None))]
    return _join([run(method, part, Watch(frames=watch.frames)) for part in parts], watch.frames)


def _run_whole(method: Method, task: Task, watch: Watch) -> Outcome:
    start, state, frames = time.monotonic(), method.begin(task), []
    if watch.snapshot is not None and watch.snapshot.is_file():
        snapshot = torch.load(watch.snapshot, weights_only=True)
        state.restore(snapshot["state"])
        # the time before the interruption counts
        start, frames = start - snapshot["seconds"], list(snapshot["frames"])
    while state.step < method.steps(task):
        method.advance(task, state)
        if watch.frames and state.step % max(1, method.steps(task) // FRAMES) == 0:
            frames.append(method.images(task, state)[: watch.frames, 0].detach())
        if watch.snapshot is not None:
            stopping = watch.stopping()
            if stopping or state.step % watch.every == 0:
                _save(watch.snapshot, state, frames, time.monotonic() - start)
                watch.progress(state.step / method.steps(task))
            if stopping:
                raise RunStopped
    return Outcome(
        method.images(task, state), state.theta, state.refused,
        state.counts.calls, state.counts.evaluations, state.counts.inner,
        time.monotonic() - start, state.trace, torch.stack(frames) if frames else None,
    )  # fmt: skip


def _save(path: Path, state: State, frames: list[Tensor], seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        torch.save({"state": state.plain(), "frames": frames, "seconds": seconds}, temporary)


def _join(parts: list[Outcome], frames: int) -> Outcome:
    first = parts[0]
    frame_parts = [part.frames for part in parts if part.frames is not None]
    return Outcome(
        torch.cat([part.images for part in parts]),
        torch.cat([part.theta for part in parts]),
        torch.cat([part.refused for part in parts]),
        first.calls, first.evaluations, first.inner,
        sum(part.seconds for part in parts),
        first.trace,
        torch.cat(frame_parts, 1)[:, :frames] if frame_parts else None,
    )  # fmt: skip
