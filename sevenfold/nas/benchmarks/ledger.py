"""What a search spends: queries, simulated seconds, repeats."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.nas.benchmarks.base import Archs, Benchmark, Epoch, Seed


@dataclass(frozen=True)
class Entry:
    """One answer: ``clock`` is the time after it, ``charged`` what it added; a duplicate adds nothing."""

    key: int
    epoch: Epoch
    value: float
    charged: float
    clock: float
    duplicate: bool


class Ledger:
    """Asks one objective of a benchmark and keeps the account of one trial.

    A query is an architecture trained, identified by ``space.keys``: the first time costs its training
    seconds and counts as spent; asking again for an epoch it has reached is free and logged as a duplicate,
    also within one call. Training a known architecture further costs the remaining seconds, or all of them
    where the benchmark's epochs are separate runs, and is no new query. Look up other splits in the benchmark
    itself: reporting costs nothing.
    """

    def __init__(self, benchmark: Benchmark, *, split: str, metric: str, seed: Seed) -> None:
        self.benchmark, self.split, self.metric, self.seed = benchmark, split, metric, seed
        self.log: list[Entry] = []
        self.spent = self.duplicates = self.missing = 0
        self.seconds = 0.0
        self._paid: dict[int, dict[Epoch, float]] = {}  # by key: the seconds of every epoch asked for

    def query(self, archs: Archs, *, epoch: Epoch) -> NDArray[np.float64]:
        """Return values, (n,), and book them in order; NaN answers are counted in ``missing``."""
        archs = self.benchmark.checked(archs)
        values = self.benchmark.query(
            archs, split=self.split, metric=self.metric, epoch=epoch, seed=self.seed
        )
        costs = self.benchmark.cost(archs, epoch=epoch, seed=self.seed)
        keys = self.benchmark.space.keys(archs)
        if epoch == "last" and self.benchmark.separate_runs:
            epoch = self.benchmark.epochs[-1]  # the same run by its other name
        for key, value, cost in zip(keys.tolist(), values.tolist(), costs.tolist(), strict=True):
            self._book(key, epoch, value, cost)
        self.missing += int(np.isnan(values).sum())
        return values

    def _book(self, key: int, epoch: Epoch, value: float, cost: float) -> None:
        # By key: the same network written down in another way is a repeat too.
        new = key not in self._paid
        paid = self._paid.setdefault(key, {})
        reached = max(paid.values(), default=0.0)
        duplicate = epoch in paid or (not self.benchmark.separate_runs and not new and cost <= reached)
        # A curve goes on where it stopped and pays the rest; a separate run pays from its first epoch.
        charged = 0.0 if duplicate else cost if self.benchmark.separate_runs else cost - reached
        self.spent += new
        self.duplicates += duplicate
        self.seconds += charged
        if not duplicate:
            paid[epoch] = cost
        self.log.append(Entry(key, epoch, value, charged, self.seconds, duplicate))

    def summary(self) -> dict[str, float]:
        """Return the account: queries spent, duplicates, answers missing, simulated seconds."""
        return {
            "spent": self.spent,
            "duplicates": self.duplicates,
            "missing": self.missing,
            "seconds": self.seconds,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        # Lists, as keys of JSON are texts.
        paid = [[key, *entry] for key, entries in self._paid.items() for entry in entries.items()]
        return {**self.summary(), "paid": paid, "log": [asdict(entry) for entry in self.log]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved account."""
        self._paid = {}
        for key, epoch, cost in state["paid"]:
            self._paid.setdefault(key, {})[epoch] = cost
        self.log = [Entry(**entry) for entry in state["log"]]
        for name in ("spent", "duplicates", "missing", "seconds"):
            setattr(self, name, state[name])
