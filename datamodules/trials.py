"""What a search runs on: trials of algorithms on a benchmark, and whole tables."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from datamodules.nas import Items
from datamodules.sampling import placement
from sevenfold.config import ConfigError
from sevenfold.nas.algorithms.objective import Objective
from sevenfold.nas.algorithms.run import start_trials
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.benchmarks.base import Benchmark
from sevenfold.nas.benchmarks.named_arrays import datasets, open_path
from sevenfold.nas.spaces.base import Enumerable
from sevenfold.records import read_folder
from sevenfold.seeding import numpy_generator

BENCHMARK = {"name": "digits-nb201"}
COMPANIONS = {"nb201_val_one_seed.npz": "nb201_cifar.npz"}  # the supplied tables: test accuracies are apart


@dataclass(frozen=True)
class Block:
    """Trials of one algorithm that run side by side: ``label`` names it, ``node`` is its configuration."""

    label: str
    node: dict[str, Any]
    trials: list[int]
    streams: list[Generator]
    objective: Objective
    test: Objective | None
    seed: int

    @property
    def facts(self) -> dict[str, Any]:
        """Return what the trials have in common, for their records."""
        benchmark = self.objective.benchmark
        return {
            "algorithm": self.node["name"],
            "preset": self.node.get("preset"),
            "space": type(benchmark.space).__name__,
            "dataset": benchmark.dataset,
            "trainings": len(benchmark.seeds) if self.objective.seed == "mean" else 1,
            "seed": self.seed,
        }

    @property
    def keys(self) -> list[str]:
        """Return the keys of the trials' records."""
        return [f"{self.label}/{trial:05d}" for trial in self.trials]


@dataclass(frozen=True)
class Asked:
    """Say what of a benchmark is the loss: by default the validation split, or the only one there is, and
    its accuracy, or the only metric; after the last epoch, averaged over the trainings.

    ``seed``: one training instead.
    """

    split: str | None = None
    metric: str | None = None
    epoch: int | None = None
    seed: int | None = None

    def of(self, benchmark: Benchmark) -> Objective:
        """Return the loss."""
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
            objective.losses(benchmark.space.archs(np.arange(1)))  # refuses what it does not have
        return objective


class NASTrials(Items):
    """Trials of several algorithms on one benchmark.

    Args:
        algorithms: components of ``sevenfold.nas.algorithms.ALGORITHMS`` by the label they are reported
            under; null removes one that a base file brought in.
        trials: how many of each algorithm.
        trials_of: other numbers, by label; those of removed labels are passed over.
        block: trials that run side by side in one item; results do not depend on it but for the rounding
            of networks.
        benchmark: name and options of the benchmark that is searched.
        path: a table file instead, in the shape of NAS-Bench-201 (``benchmarks.named_arrays``) or compact.
        dataset: which data set of the file.
        objective: what of it is minimized.
        test_path: a file whose test split is reported beside; by default the benchmark's own, if any, or that
            of ``nb201_cifar.npz`` in the folder of the supplied ``nb201_val_one_seed.npz``.
        seed: of all trials: trial i of every algorithm has the stream (seed, i), so that they begin alike.

    Trials with a record in the run's folder are done and left out.
    """

    def __init__(
        self,
        *,
        algorithms: dict[str, Any],
        trials: int = 40,
        trials_of: dict[str, int] | None = None,
        block: int = 50,
        benchmark: dict[str, Any] = BENCHMARK,
        path: str | None = None,
        dataset: str | None = None,
        objective: Asked = Asked(),
        test_path: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.algorithms = {label: node for label, node in algorithms.items() if node is not None}
        trials_of = trials_of or {}
        for option, value in {"trials": min([trials, *trials_of.values()]), "block": block}.items():
            if value < 1:
                raise ConfigError(option, f"must be at least 1, got {value}")
        if not self.algorithms or trials_of.keys() - algorithms.keys():
            raise ConfigError("trials_of", f"labels of algorithms are {', '.join(self.algorithms) or 'none'}")
        opened = _open(benchmark, path, dataset)
        self.objective = objective.of(opened)
        self.test = self._reported(opened, test_path or companion(path, dataset), dataset)
        for label, node in self.algorithms.items():
            start_trials(node, opened.space, [np.random.default_rng(0)], f"algorithms.{label}")
        self.counts = {label: trials_of.get(label, trials) for label in self.algorithms}
        self.block, self.seed = block, seed

    def _reported(self, opened: Benchmark, path: str | None, dataset: str | None) -> Objective | None:
        """Return what is reported beside; nothing where no test split is known or it is the objective."""
        beside = opened if path is None else open_path(path, dataset)
        if "test" not in beside.splits or (beside is opened and self.objective.split == "test"):
            return None
        return Asked(split="test").of(beside)

    def setup(self, stage: str) -> None:
        """List the blocks with trials still to run; every device gets at least an empty one.

        A block that was cut off runs whole again, so that its networks are trained in the same stack.
        """
        done = set()
        if self.trainer is not None:
            done = {record["key"] for record in read_folder(Path(self.trainer.default_root_dir) / "records")}
        blocks = []
        for label, count in self.counts.items():
            for at in range(0, count, self.block):
                block = self._block(label, list(range(at, min(at + self.block, count))))
                blocks += [] if set(block.keys) <= done else [block]
        idle = self._block(next(iter(self.counts)), [])
        self.items = blocks + [idle] * (placement(self)["world_size"] - len(blocks))

    def _block(self, label: str, trials: list[int]) -> Block:
        streams = [numpy_generator(self.seed, "nas trial", trial) for trial in trials]
        return Block(label, self.algorithms[label], trials, streams, self.objective, self.test, self.seed)


def companion(path: str | None, dataset: str | None) -> str | None:
    """Return the table with the test accuracies of a supplied one, where it lies beside and has the data."""
    name = COMPANIONS.get(Path(path).name) if path is not None else None
    beside = Path(path or "").with_name(name) if name is not None else None
    if beside is None or not beside.is_file():
        return None
    known = datasets(str(beside))
    return str(beside) if dataset in [*known, *(entry.rpartition("/")[0] for entry in known)] else None


@dataclass(frozen=True)
class TableItem:
    """One landscape: a loss on a listed space, and the stream of its noise."""

    name: str
    objective: Objective
    stream: Generator = field(repr=False)


class NASTables(Items):
    """Whole tables, each a landscape of its own.

    Args:
        benchmark: name and options of a benchmark whose space is listed.
        path: a table file instead, in the shape of NAS-Bench-201 (``benchmarks.named_arrays``) or compact.
        dataset: one data set of the file; by default all of them.
        objective: what is the loss.
        seed: of the noise that is added.
    """

    def __init__(
        self,
        *,
        benchmark: dict[str, Any] = BENCHMARK,
        path: str | None = None,
        dataset: str | None = None,
        objective: Asked = Asked(),
        seed: int = 0,
    ) -> None:
        super().__init__()
        names = [dataset] if path is None or dataset is not None else datasets(path)
        self.items = []
        for name in names:
            opened = _open(benchmark, path, name)
            loss = objective.of(opened)
            if not isinstance(opened.space, Enumerable):
                raise ConfigError("benchmark", "a landscape needs a space that can be listed")
            stream = numpy_generator(seed, "nas landscape noise")
            self.items.append(TableItem(f"{opened.dataset}/{loss.split}", loss, stream))


def _open(benchmark: dict[str, Any], path: str | None, dataset: str | None) -> Benchmark:
    if path is not None:
        return open_path(path, dataset)
    options = {key: value for key, value in benchmark.items() if key != "name"}
    return load_benchmark(benchmark["name"], **options, **({"dataset": dataset} if dataset else {}))
