"""The benchmark table that a study of architecture search runs on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.nas.algorithms.objective import Objective
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.benchmarks.named_arrays import datasets, open_path
from sevenfold.nas.spaces.base import Enumerable
from sevenfold.ranges import NonNegativeInt

DIGITS = {"name": "digits-nb201"}
COMPANIONS = {"nb201_val_one_seed.npz": "nb201_cifar.npz"}  # the supplied tables: test accuracies are apart


@dataclass(frozen=True)
class Loss:
    """Which series of a benchmark is minimized.

    Args:
        split: by default the validation split, or the only one there is.
        metric: by default accuracy, or the only metric; accuracies become errors, 100 - accuracy.
        epoch: by default the last.
        seed: one training; by default the mean over all trainings.
    """

    split: str | None = None
    metric: str | None = None
    epoch: NonNegativeInt | None = None
    seed: NonNegativeInt | None = None

    def of(self, benchmark: Benchmark) -> Objective:
        """Return the loss on a benchmark; what the benchmark lacks is refused."""
        split = self.split or ("val" if "val" in benchmark.splits else benchmark.splits[0])
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


def open_table(benchmark: dict[str, Any], path: str | None, dataset: str | None) -> Benchmark:
    """Open a table file (``path``) or a named benchmark; ``dataset``: which of several."""
    if path is not None:
        return open_path(path, dataset)
    options = {key: value for key, value in benchmark.items() if key != "name"}
    return load_benchmark(benchmark["name"], **options, **({"dataset": dataset} if dataset else {}))


def companion(path: str | None, dataset: str | None) -> str | None:
    """Return the table with the test accuracies of a supplied one, where it lies beside and has the data."""
    name = COMPANIONS.get(Path(path).name) if path is not None else None
    beside = Path(path or "").with_name(name) if name is not None else None
    if beside is None or not beside.is_file():
        return None
    known = datasets(str(beside))
    return str(beside) if dataset in [*known, *(entry.rpartition("/")[0] for entry in known)] else None


def reported_test(
    opened: Benchmark, searched: Objective, path: str | None, dataset: str | None
) -> Objective | None:
    """Return the test loss that is reported beside the searched one: of the table at ``path``, or of the
    searched table itself; None where no test split is known or it is the one that is searched.
    """
    beside = opened if path is None else open_path(path, dataset)
    if "test" not in beside.splits or (beside is opened and searched.split == "test"):
        return None
    return Loss(split="test").of(beside)
