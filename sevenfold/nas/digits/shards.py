"""The build of the benchmark in pieces: which cells belong to one, and its file, written whole."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sevenfold.nas.digits.network import live_ops
from sevenfold.nas.digits.training import Recipe, train_cells
from sevenfold.nas.spaces.nb201_keys import classes, official_order


@dataclass(frozen=True)
class Shard:
    """Some classes, by their position in :func:`class_numbers`, trained with one seed."""

    seed: int
    block: int
    members: NDArray[np.int64]

    @property
    def name(self) -> str:
        """Return the name of its file."""
        return f"seed_{self.seed}_block_{self.block:04d}.npz"


def class_numbers() -> NDArray[np.int64]:
    """Return the lowest official number of each functional class, ascending, (5425,)."""
    return np.unique(classes("functional"))


def class_ops() -> NDArray[np.int8]:
    """Return the cell that stands for each class, with ``none`` on dead edges, (5425, 6)."""
    return live_ops(official_order()[0][class_numbers()])


def plan_shards(members: NDArray[np.int64], *, seeds: int, size: int) -> list[Shard]:
    """Divide classes into blocks of ``size``, the first seed of all blocks first.

    Neighbors in a block share as many edges as possible: a stack computes what all have in common at once.
    """
    ops = class_ops()[members]
    order = members[np.lexsort(ops.T[[0, 1, 3, 2, 4, 5]])]
    blocks = [order[start : start + size] for start in range(0, len(order), size)]
    return [Shard(seed, number, block) for seed in range(seeds) for number, block in enumerate(blocks)]


def train_shard(shard: Shard, *, recipe: Recipe) -> dict[str, NDArray[np.generic]]:
    """Return the curves of a shard by name: ``correct`` and ``loss`` (n, epochs, 3), and its ``members``.

    ``provenance`` is a JSON text of what the numbers depend on: the recipe and the version of torch.
    """
    archs = class_ops()[shard.members]
    correct, loss = train_cells(archs, np.full(len(archs), shard.seed), recipe=recipe)
    provenance = json.dumps({"recipe": asdict(recipe), "torch": torch.__version__}, sort_keys=True)
    return {"members": shard.members, "correct": correct, "loss": loss, "provenance": np.array(provenance)}


def save_arrays(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    """Write arrays as one compressed npz: into a temporary neighbor first, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
