"""Trials of learning-curve extrapolation: studies of extrapolators, and searches that filter with one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.nas import Items
from datamodules.sampling import placement
from sevenfold.config import ConfigError, build
from sevenfold.nas.benchmarks import load_benchmark
from sevenfold.nas.lce import EXTRAPOLATORS, SEARCHES
from sevenfold.nas.lce.filtered import Filter
from sevenfold.nas.lce.multifidelity import Filtered, Search
from sevenfold.nas.lce.tables import CurveTable, curve_table
from sevenfold.records import read_folder

DIGITS = {"name": "digits-nb201"}


@dataclass(frozen=True)
class Study:
    """One extrapolator after ``seen`` epochs, all seeds; ``group`` names the two."""

    group: str
    node: dict[str, Any]
    table: CurveTable
    seen: int
    seeds: list[int]
    train: int
    test: int
    chance: float


@dataclass(frozen=True)
class Trials:
    """One search in all its trials; ``plain`` labels the same search without extrapolation, if there is."""

    group: str
    search: Search
    plain: str | None
    table: CurveTable
    seeds: list[int]


class Curves(Items):
    """Curves of a benchmark, and the seeds whose records a run still lacks."""

    def __init__(self, benchmark: dict[str, Any], run: int | None, seeds: int) -> None:
        super().__init__()
        if seeds < 1:
            raise ConfigError("seeds", f"must be at least 1, got {seeds}")
        options = {key: value for key, value in benchmark.items() if key != "name"}
        self.table = curve_table(load_benchmark(benchmark["name"], **options), seed=run)
        self.seeds = seeds

    def missing(self, group: str) -> list[int]:
        """Return the seeds of a group without a record in the run's folder."""
        folder = None if self.trainer is None else Path(self.trainer.default_root_dir) / "records"
        done = {record["key"] for record in read_folder(folder)} if folder else set()
        return [seed for seed in range(self.seeds) if f"{group}/{seed}" not in done]

    def keep(self, items: list[Any]) -> list[Any]:
        """Return the items with something to do; every device gets at least an idle one."""
        busy = [item for item in items if item.seeds]
        idle = [item for item in items if not item.seeds]
        return busy + (idle or items)[:1] * max(0, placement(self)["world_size"] - len(busy))


class LCEStudies(Curves):
    """Extrapolators after several numbers of epochs, fitted to ``train`` curves, judged on ``test`` others.

    Args:
        extrapolators: components of ``sevenfold.nas.lce.EXTRAPOLATORS`` by label; null removes one.
        seen: epochs after which the end is predicted.
        benchmark: name and options of a benchmark with learning curves; ``run``: which training of each.
        seeds: draws of training and test curves; equal for all extrapolators.
        chance: accuracy of guessing, percent: what ends above is also scored by itself.
    """

    def __init__(
        self,
        *,
        extrapolators: dict[str, Any],
        seen: list[int],
        benchmark: dict[str, Any] = DIGITS,
        run: int | None = None,
        train: int = 100,
        test: int = 500,
        seeds: int = 10,
        chance: float = 10.0,
    ) -> None:
        super().__init__(benchmark, run, seeds)
        self.extrapolators = {label: node for label, node in extrapolators.items() if node is not None}
        for label, node in self.extrapolators.items():
            build(EXTRAPOLATORS, node, f"extrapolators.{label}")
        if not seen or min(seen) < 1 or max(seen) >= self.table.epochs:
            raise ConfigError("seen", f"must be within [1, {self.table.epochs - 1}], got {seen}")
        if train < 5 or test < 5 or train + test > len(self.table.curves):
            raise ConfigError(
                "train",
                f"train {train} + test {test}: expected 5 or more each, {len(self.table.curves)} in all",
            )
        self.seen, self.sizes = seen, {"train": train, "test": test, "chance": chance}

    def setup(self, stage: str) -> None:
        """List the trials that are still to do."""
        self.items = self.keep(
            [
                Study(group, node, self.table, seen, self.missing(group), **self.sizes)
                for label, node in self.extrapolators.items()
                for seen in self.seen
                for group in [f"{label}/{seen}"]
            ]
        )


class LCESearches(Curves):
    """Searches of ``sevenfold.nas.lce.SEARCHES`` by label; null removes one.

    ``filter`` says how all filtered ones filter; other options as in :class:`LCEStudies`. Trial i of random
    search meets networks in the same order with and without a filter; other algorithms begin alike.
    """

    def __init__(
        self,
        *,
        searches: dict[str, Any],
        filter: Filter = Filter(),
        benchmark: dict[str, Any] = DIGITS,
        run: int | None = None,
        seeds: int = 60,
    ) -> None:
        super().__init__(benchmark, run, seeds)
        self.nodes = {label: node for label, node in searches.items() if node is not None}
        self.searches: dict[str, Search] = {}
        for label, node in self.nodes.items():
            key = f"searches.{label}"
            given = {"filter": filter} if node.get("name") == "filtered" and "filter" not in node else {}
            self.searches[label] = build(SEARCHES, node, key, **given)
            try:
                self.searches[label].check(self.table)
            except ConfigError as error:
                raise ConfigError(f"{key}.{error.key}", error.message) from None

    def plain(self, label: str) -> str | None:
        """Return the label of the same search without extrapolation."""
        search = self.searches[label]
        if not isinstance(search, Filtered) or search.lce is None:
            return None
        bare = {key: value for key, value in self.nodes[label].items() if key not in ("lce", "filter")}
        same = (
            other
            for other, node in self.nodes.items()
            if {key: value for key, value in node.items() if key != "filter"} == bare
        )
        return next(same, None)

    def setup(self, stage: str) -> None:
        """List the searches that are still to do."""
        self.items = self.keep(
            [
                Trials(label, search, self.plain(label), self.table, self.missing(label))
                for label, search in self.searches.items()
            ]
        )
