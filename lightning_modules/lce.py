"""Run trials of learning-curve extrapolation (items of ``datamodules.lce``)."""

from typing import Any

import numpy as np
import pytorch_lightning as pl

from sevenfold.config import ConfigError, build
from sevenfold.nas.lce import EXTRAPOLATORS
from sevenfold.nas.lce.filtered import Trace
from sevenfold.nas.lce.study import trial
from sevenfold.nas.lce.tables import CurveTable
from sevenfold.seeding import numpy_generator

POINTS = 60  # of a recorded curve


class LCEStudy(pl.LightningModule):
    """Score one extrapolator after one number of epochs, on every seed."""

    def predict_step(self, item: Any, batch_idx: int) -> list[dict[str, Any]]:
        """Return one record for each seed."""
        sizes = {"seen": item.seen, "train": item.train, "test": item.test, "chance": item.chance}
        records = []
        for seed in item.seeds:
            scores = trial(item.table, build(EXTRAPOLATORS, item.node, "extrapolator"), seed=seed, **sizes)
            key = {"key": f"{item.group}/{seed}", "group": item.group, "seed": seed, "seen": item.seen}
            records.append({**key, **scores})
        return records


class LCESearch(pl.LightningModule):
    """Search until ``budget`` epochs are spent."""

    def __init__(self, *, budget: int = 15_000) -> None:
        super().__init__()
        if budget < 1:
            raise ConfigError("budget", f"must be at least 1, got {budget}")
        self.budget = budget

    def predict_step(self, item: Any, batch_idx: int) -> list[dict[str, Any]]:
        """Return one record for each trial: the regret of the best finished training."""
        return [self._record(item, seed) for seed in item.seeds]

    def _record(self, item: Any, seed: int) -> dict[str, Any]:
        trace = item.search.run(item.table, numpy_generator(seed, "lce search"), self.budget)
        if not trace.promoted.any():
            raise ConfigError("budget", f"{self.budget} epochs do not finish one of {item.table.epochs}")
        plain = {} if item.plain is None else {"plain": item.plain}
        return {
            "key": f"{item.group}/{seed}",
            "group": item.group,
            "seed": seed,
            **plain,
            **outcome(item.table, trace, self.budget),
        }


def outcome(table: CurveTable, trace: Trace, budget: int) -> dict[str, Any]:
    """Return regrets of the end and on the way, and what was spent.

    ``regret`` is the distance of the best finished validation accuracy from the table's, ``test_regret`` that
    of the same network's test accuracy; ``observed_regret`` that of the network with the best accuracy seen
    at any epoch, finished or not, which is what the authors answer with. ``curve`` is the regret at epochs
    ``grid``, null before the first finished training.
    """
    ends = table.curves[:, -1]
    regret = ends.max() - trace.best
    finished = trace.rows[trace.promoted]
    winner = finished[ends[finished].argmax()]
    seen = [table.curves[row, :length].max() for row, length in zip(trace.rows, trace.lengths, strict=True)]
    found = {
        "regret": float(regret[-1]),
        "observed_regret": float(ends.max() - ends[trace.rows[np.argmax(seen)]]),
    }
    if table.test is not None:
        found["test_regret"] = float(np.nanmax(table.test) - table.test[winner])
    grid = np.linspace(budget / POINTS, budget, POINTS)
    place = np.searchsorted(trace.epochs, grid, side="right") - 1
    curve = np.where(place >= 0, regret[place], np.inf)
    return {
        **found,
        "trainings": len(trace.epochs),
        "finished": int(trace.promoted.sum()),
        "epochs": float(trace.epochs[-1]),
        "grid": grid.round(1).tolist(),
        "curve": [round(value, 4) if np.isfinite(value) else None for value in curve.tolist()],
    }
