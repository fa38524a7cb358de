"""The build of the benchmark: shards that survive a kill, and the table that is made of all of them."""

import json
import os
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sevenfold.environment import installed_version
from sevenfold.errors import InputError
from sevenfold.nas.benchmarks.table import write_table
from sevenfold.nas.digits.cost import count_cost
from sevenfold.nas.digits.images import SIZES, split_indices
from sevenfold.nas.digits.network import live_ops
from sevenfold.nas.digits.training import Recipe, train_cells
from sevenfold.nas.spaces.nb201_keys import classes, official_order

TABLE = "digits_nb201_v1.npz"


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
    """Divide classes into blocks of ``size`` similar cells, the first seed of all blocks first."""
    # Similar cells share their operations, so a block's convolutions fill few large stacks.
    order = members[np.lexsort(class_ops()[members].T[[0, 1, 3, 2, 4, 5]])]
    blocks = [order[start : start + size] for start in range(0, len(order), size)]
    return [Shard(seed, number, block) for seed in range(seeds) for number, block in enumerate(blocks)]


def train_shard(shard: Shard, *, recipe: Recipe) -> dict[str, NDArray[Any]]:
    """Return the curves of a shard by name: ``correct`` and ``loss`` (n, epochs, 3), and its ``members``.

    ``provenance`` is a JSON text of what the numbers depend on: the recipe and the version of torch.
    """
    # Same seed for all, but each network draws from a stream of its own name: blocks may be cut anyhow.
    archs = class_ops()[shard.members]
    correct, loss = train_cells(archs, np.full(len(archs), shard.seed), recipe=recipe)
    provenance = json.dumps({"recipe": asdict(recipe), "torch": torch.__version__}, sort_keys=True)
    return {"members": shard.members, "correct": correct, "loss": loss, "provenance": np.array(provenance)}


@dataclass(frozen=True)
class Build:
    """A benchmark to be built in ``folder``: its first ``classes`` classes (None: all 5,425), ``seeds`` runs
    each, in shards of ``block`` classes.
    """

    folder: Path
    recipe: Recipe
    seeds: int = 3
    block: int = 128
    classes: int | None = None

    @property
    def table(self) -> Path:
        """Return where the finished table is."""
        return self.folder / TABLE

    @cached_property
    def shards(self) -> list[Shard]:
        """Return all shards in the order of their computation."""
        return plan_shards(np.arange(5425)[: self.classes], seeds=self.seeds, size=self.block)

    def path(self, shard: Shard) -> Path:
        """Return a shard's file."""
        return self.folder / "shards" / shard.name

    def missing(self) -> list[Shard]:
        """Return the shards that have no file yet."""
        return [shard for shard in self.shards if not self.path(shard).is_file()]

    def run(self, shard: Shard) -> None:
        """Train a shard and write its file, whole or not at all; leave one alone that is there by now."""
        if self.path(shard).is_file():
            return
        self.path(shard).parent.mkdir(parents=True, exist_ok=True)
        save_arrays(self.path(shard), train_shard(shard, recipe=self.recipe))

    def read(self, shard: Shard) -> dict[str, NDArray[Any]]:
        """Read a shard's file; ``InputError`` if it belongs to another plan or recipe."""
        with np.load(self.path(shard), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        recipe = json.loads(str(arrays["provenance"]))["recipe"]
        if recipe != asdict(self.recipe) or not np.array_equal(arrays["members"], shard.members):
            raise InputError(
                f"'{self.path(shard)}' comes from a build with other options ({recipe}, "
                f"{len(arrays['members'])} classes a shard); give the present one another root"
            )
        return arrays

    def accuracies(self) -> dict[str, NDArray[np.float64]]:
        """Return the final accuracies, percent, of every training by split."""
        correct = np.concatenate([self.read(shard)["correct"][:, -1] for shard in self.shards])
        return {split: 100 * correct[:, k] / size for k, (split, size) in enumerate(SIZES.items())}

    def assemble(self) -> dict[str, float]:
        """Write the table of all shards; return its headline numbers."""
        members = np.sort(np.unique(np.concatenate([shard.members for shard in self.shards])))
        shape = (len(members), self.seeds, self.recipe.epochs, 3)
        correct, loss, versions = np.zeros(shape, np.uint16), np.zeros(shape, np.float16), set()
        for shard in self.shards:
            arrays = self.read(shard)
            rows = np.searchsorted(members, shard.members)
            correct[rows, shard.seed], loss[rows, shard.seed] = arrays["correct"], arrays["loss"]
            versions.add(json.loads(str(arrays["provenance"]))["torch"])
        provenance = {
            "recipe": asdict(self.recipe),
            "torch": sorted(versions),
            "sevenfold": installed_version("sevenfold"),
            "images": "scikit-learn load_digits, split by split_train, split_val and split_test",
        }
        description, tables = describe(members, correct, loss, self.recipe, provenance)
        write_table(self.table, description, tables)
        final = correct[:, :, -1].mean(axis=1) / list(SIZES.values()) * 100
        return {f"{split}_acc": float(final[:, k].mean()) for k, split in enumerate(SIZES)}


def describe(
    members: NDArray[np.int64],
    correct: NDArray[np.uint16],
    loss: NDArray[np.float16],
    recipe: Recipe,
    provenance: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the description and the arrays of the compact form, given results (classes, R, E, 3)."""
    of_string = np.searchsorted(class_numbers(), classes("functional"))
    strings = np.flatnonzero(np.isin(of_string, members))
    cost = count_cost(class_ops()[members], channels=recipe.channels)
    arrays: dict[str, NDArray[Any]] = {
        "acc": correct,
        "loss": loss,
        "ops": official_order()[0][strings].astype(np.uint8),
        "class_of_string": np.searchsorted(members, of_string[strings]).astype(np.int16),
        "params": cost.params,
        "flops": cost.flops,
        "train_seconds_per_epoch": cost.seconds,
        **{f"split_{name}": rows.astype(np.int16) for name, rows in split_indices().items()},
    }
    series: dict[str, Any] = {}
    for k, (split, size) in enumerate(SIZES.items()):
        series[f"{split}/acc"] = {"array": "acc", "axes": "nrek", "k": k, "scale": 100 / size}
        series[f"{split}/loss"] = {"array": "loss", "axes": "nrek", "k": k}
    digits = {
        "seeds": list(range(correct.shape[1])),
        "epochs": list(range(1, correct.shape[2] + 1)),
        "series": series,
        "seconds": {"array": "train_seconds_per_epoch", "axes": "n", "per": "epoch"},
        "properties": {name: {"array": name, "axes": "n"} for name in ("params", "flops")},
    }
    description = {
        "space": {"name": "nb201"},
        "archs": "ops",
        "rows": "class_of_string",
        "datasets": {"digits": digits},
        "provenance": provenance,
    }
    return description, arrays


def save_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays as one compressed npz: into a temporary neighbor first, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
