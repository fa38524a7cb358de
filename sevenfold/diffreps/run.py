"""Run a method on a batch of samples: watched, cut off and resumed alike for all methods."""

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
    """A run was asked to end and has; its snapshot is there to go on from."""


def _nobody(fraction: float) -> None:
    """Report progress to nobody."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Watch:
    """What is written and reported on the way.

    Args:
        snapshot: file that holds the run's whole state every ``every`` steps; a later call goes on from it.
        every: steps between snapshots.
        frames: of how many samples the first view is kept, after every step or some sixty of them.
        stopping: true once the run is to end: a last snapshot is written and ``RunStopped`` raised.
        progress: called with the share of steps that are done, at every snapshot.
    """

    snapshot: Path | None = None
    every: int = 10
    frames: int = 0
    stopping: Callable[[], bool] = _never
    progress: Callable[[float], None] = _nobody


@dataclass
class Outcome:
    """Samples and what they took: ``images`` (B, K, C, H, W), ``theta`` (B, ...), ``refused`` (B,), the last
    state's ``calls``, ``evaluations`` and ``inner``, the ``trace`` of steps, ``frames`` (steps, b, C, H, W).
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

    Where the device's memory does not suffice the batch is halved, which changes no sample, and said so in
    the log. Raises ``InputError`` where one sample alone does not fit.
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
    parts = [task.part(slice(0, half)), task.part(slice(half, None))]
    return _join([run(method, part, Watch(frames=watch.frames)) for part in parts], watch.frames)


def _run_whole(method: Method, task: Task, watch: Watch) -> Outcome:
    start, state, frames = time.monotonic(), method.begin(task), []
    if watch.snapshot is not None and watch.snapshot.is_file():
        snapshot = torch.load(watch.snapshot, weights_only=True)
        state.restore(snapshot["state"])
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
