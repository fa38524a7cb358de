"""The common part of studies that draw samples: chunks of samples, drawn or loaded from the run folder."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from sevenfold.diffreps.methods.base import Method
from sevenfold.diffreps.run import RunStopped, Watch, run
from sevenfold.diffreps.sample_files import chunk_of, save
from sevenfold.diffreps.sampling_task import Task
from sevenfold.diffreps.scores import Scorer
from sevenfold.study import Context, P, Study

Chunk = dict[str, Any]


class SamplingStudy(Study[P]):
    """A study whose pieces draw samples, with gradients inside methods only."""

    gradients = False

    def __getstate__(self) -> dict[str, Any]:
        """Omit priors, networks and renders: another process loads those that its pieces need."""
        kinds = type(self).__mro__
        lazy = {
            name
            for kind in kinds
            for name, member in vars(kind).items()
            if isinstance(member, cached_property)
        }
        return {name: value for name, value in self.__dict__.items() if name not in lazy}


def chunk_file(folder: Path, group: str, first: int) -> Path:
    """Return the path of a group's chunk that begins with sample ``first``."""
    return folder / "samples" / f"{group.replace('/', '--')}--{first:05d}.pt"


def draw_or_load(
    path: Path,
    method: Method,
    make_task: Callable[[], Task],
    context: Context,
    *,
    every: int,
    frames: int = 0,
    scorer: Scorer | None = None,
) -> Chunk | None:
    """Return a chunk from its file, or draw it, starting at its snapshot if there is one; None if stopped."""
    if path.is_file():
        return dict(torch.load(path, weights_only=True))
    snapshot, task = path.with_suffix(".snapshot"), make_task()
    try:
        outcome = run(method, task, Watch(snapshot, every, frames, context.stopping, context.progress))
    except RunStopped:
        return None
    chunk = chunk_of(outcome, task, scorer)
    save(path, chunk)
    # the samples are saved before their snapshot is deleted
    snapshot.unlink(missing_ok=True)
    return chunk
