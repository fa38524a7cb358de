"""The benchmark table that a study of architecture search runs on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sevenfold.config import ConfigError, Node, build
from sevenfold.errors import InputError
from sevenfold.nas.algorithms.objective import Objective
from sevenfold.nas.benchmarks import BENCHMARKS
from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.benchmarks.named_arrays import datasets, open_path
from sevenfold.nas.spaces.base import Enumerable
from sevenfold.ranges import NonNegativeInt

DIGITS = {"name": "digits-nb201"}
COMPANIONS = {"nb201_val_one_seed.npz": "nb201_cifar.npz"}  # the supplied tables: test accuracies are apart


@dataclass(frozen=True)
class Loss:
    """Series of a benchmark that is minimized.

    Args:
        split: split of the data; null: the validation split. Where a table has none it must be said, and the
            report says so: who searches the test split selects on it.
        metric: metric of the split; null: accuracy, else the first metric. Accuracies become errors,
            100 - accuracy.
        epoch: epoch whose value counts; null: the end of each training's schedule.
        seed: seed of the training whose value counts; null: the mean over all trainings.
    """

    split: str | None = None
    metric: str | None = None
    epoch: NonNegativeInt | None = None
    seed: NonNegativeInt | None = None

    def of(self, benchmark: Benchmark) -> Objective:
        """Return the loss on a benchmark; what the benchmark lacks is refused."""
        if self.split is None and "val" not in benchmark.splits:
            raise ConfigError(
                "objective.split",
                f"{benchmark.dataset} has {', '.join(benchmark.splits)} only; searching it selects on the "
                "test set; say objective.split: test to do so, or name another split",
            )
        split = self.split or "val"
        metrics = [key.partition("/")[2] for key in benchmark.series if key.startswith(f"{split}/")]
        metric = self.metric or ("acc" if "acc" in metrics or not metrics else metrics[0])
        objective = Objective(
            benchmark,
            split,
            metric,
            "last" if self.epoch is None else self.epoch,
            "mean" if self.seed is None else self.seed,
        )
        if isinstance(benchmark.space, Enumerable):
            try:
                objective.losses(benchmark.space.archs(np.arange(1)))
            except InputError as error:
                raise ConfigError("objective", str(error)) from None
        return objective


def open_table(benchmark: Node, path: str | None, dataset: str | None) -> Benchmark:
    """Open the data set ``dataset`` of a table file (``path``) or of a named benchmark."""
    if path is not None:
        return open_path(path, dataset)
    chosen = {"dataset": dataset} if dataset else {}
    table: Benchmark = build(BENCHMARKS, {**benchmark, **chosen}, "benchmark")
    return table


def understood(benchmark: Benchmark) -> tuple[str, ...]:
    """Return what was decided about the file of a table, one line a decision."""
    return getattr(benchmark, "understood", ())


def companion(path: str | None, dataset: str | None) -> str | None:
    """Return the table with test accuracies in the folder of a supplied one, if it has the data set."""
    name = COMPANIONS.get(Path(path).name) if path is not None else None
    beside = Path(path or "").with_name(name) if name is not None else None
    if beside is None or not beside.is_file():
        return None
    known = datasets(str(beside))
    return str(beside) if dataset in [*known, *(entry.rpartition("/")[0] for entry in known)] else None


def reported_test(
    opened: Benchmark, searched: Objective, path: str | None, dataset: str | None
) -> Objective | None:
    """Return the test loss of the table at ``path``, or of the searched table itself.

    None where no test split is known or it is the one that is searched.
    """
    beside = opened if path is None else open_path(path, dataset)
    if "test" not in beside.splits or (beside is opened and searched.split == "test"):
        return None
    return Loss(split="test").of(beside)
