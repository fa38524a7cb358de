"""Build of the benchmark ``digits-nb201``, in which every piece trains one shard of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.nas.digits.build import Build, Shard
from sevenfold.nas.digits.training import Recipe
from sevenfold.ranges import Count
from sevenfold.records import Record
from sevenfold.report import format_value
from sevenfold.study import Context, Piece, Report, Study


@dataclass(frozen=True)
class ShardPiece(Piece):
    """One shard, by its number in the plan."""

    number: int


class DigitsBuild(Study[ShardPiece]):
    """Train the shards of ``digits-nb201``, and write the table once all are there.

    Args:
        root: folder whose subfolder ``digits_nb201`` holds shards and the finished table; shards there count
            as done, and one with other options is an error.
        seeds: trainings of each functional class of cells.
        block: classes in a shard; results do not depend on it beyond rounding.
        classes: number of the 5,425 classes to build; null: all.
        recipe: options of the training of each network.
    """

    def __init__(
        self,
        *,
        root: str = "data",
        seeds: Count = 3,
        block: Count = 128,
        classes: Count | None = None,
        recipe: Recipe = Recipe(),
    ) -> None:
        self.build = Build(Path(root) / "digits_nb201", recipe, seeds=seeds, block=block, classes=classes)

    def check(self) -> None:
        """Read the shards that are there, refusing those of other options."""
        for shard in self.build.shards:
            if self.build.path(shard).is_file():
                self.build.read(shard)

    def pieces(self) -> Sequence[ShardPiece]:
        """Return the shards."""
        return [ShardPiece((shard.name,), "shards", i) for i, shard in enumerate(self.build.shards)]

    def run(self, piece: ShardPiece, context: Context) -> list[Record]:
        """Train one shard, unless it is there."""
        shard: Shard = self.build.shards[piece.number]
        self.build.run(shard)
        return [{"key": shard.name, "group": piece.group}]

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        """Write the table if all shards are there; return the mean final accuracies."""
        # Shards on disk, not records, decide: another job may have trained the rest.
        missing = self.build.missing()
        if missing:
            text = f"{len(missing)} of {len(self.build.shards)} shards are still to be trained."
            return Report("Build of digits-nb201", [], [text])
        means = {f"table/{name}/mean": value for name, value in self.build.assemble().items()}
        rows = [["split", "mean final accuracy, %"]]
        rows += [[name.split("/")[1].removesuffix("_acc"), format_value(v)] for name, v in means.items()]
        picture = folder / "images/accuracies.png"
        draw_accuracies(self.build.accuracies(), picture)
        return Report(
            "Build of digits-nb201",
            rows,
            [f"All shards are trained: {self.build.table}."],
            [],
            [picture],
            means,
        )

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the build of four classes for two epochs."""
        small = {"seeds": 2, "block": 2, "classes": 4, "recipe": {"epochs": 2}, "root": "data/tiny"}
        return {**options, **small}


def draw_accuracies(accuracies: Mapping[str, NDArray[np.float64]], path: Path) -> None:
    """Draw how the final accuracies of all trainings are spread, by split."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for split, values in accuracies.items():
        axes.hist(values, bins=50, range=(0, 100), histtype="step", label=split)
    axes.set(xlabel="final accuracy, %", ylabel="trainings")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
