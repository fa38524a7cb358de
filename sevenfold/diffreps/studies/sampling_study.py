"""What studies that draw samples share: chunks of them, drawn or taken from the run folder."""

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
    """A study whose pieces draw samples: nothing is differentiated but inside methods."""

    gradients = False

    def __getstate__(self) -> dict[str, Any]:
        """Leave priors, networks and renders out: another process opens what its own pieces need."""
        kinds = type(self).__mro__
        lazy = {
            name
            for kind in kinds
            for name, member in vars(kind).items()
            if isinstance(member, cached_property)
        }
        return {name: value for name, value in self.__dict__.items() if name not in lazy}


def chunk_file(folder: Path, group: str, first: int) -> Path:
    """Return where the chunk of a group that begins with sample ``first`` is kept."""
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
    """Return a chunk: from its file, or drawn, from a snapshot if there is one; None if stopped."""
    if path.is_file():
        return dict(torch.load(path, weights_only=True))
    snapshot, task = path.with_suffix(".snapshot"), make_task()
    try:
        outcome = run(method, task, Watch(snapshot, every, frames, context.stopping, context.progress))
    except RunStopped:
        return None
    chunk = chunk_of(outcome, task, scorer)
    save(path, chunk)
    snapshot.unlink(missing_ok=True)
    return chunk
