"""Run trials of learning-curve extrapolation (items of ``datamodules.lce``)."""

from typing import Any

import numpy as np
import pytorch_lightning as pl

from sevenfold.config import ConfigError, build
from sevenfold.nas.lce import EXTRAPOLATORS
from sevenfold.nas.lce.filtered import filtered_search, plain_search
from sevenfold.nas.lce.study import trial
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
    """Search at random until ``budget`` epochs are spent, behind a filter or not."""

    def __init__(self, *, budget: int = 15_000) -> None:
        super().__init__()
        if budget < 1:
            raise ConfigError("budget", f"must be at least 1, got {budget}")
        self.budget = budget

    def predict_step(self, item: Any, batch_idx: int) -> list[dict[str, Any]]:
        """Return one record for each trial: the regret of the best finished training."""
        return [self._record(item, seed) for seed in item.seeds]

    def _record(self, item: Any, seed: int) -> dict[str, Any]:
        stream = numpy_generator(seed, "lce search")
        if item.node is None:
            trace = plain_search(item.table, stream, budget=self.budget)
        else:
            extrapolator = build(EXTRAPOLATORS, item.node, "extrapolator")
            trace = filtered_search(item.table, extrapolator, item.filter, stream, budget=self.budget)
        if not len(trace.epochs):
            raise ConfigError("budget", f"{self.budget} epochs do not finish one of {item.table.epochs}")
        regret = item.table.curves[:, -1].max() - trace.best
        grid = np.linspace(trace.epochs[0], self.budget, POINTS)
        place = np.searchsorted(trace.epochs, grid, side="right") - 1
        return {
            "key": f"{item.group}/{seed}",
            "group": item.group,
            "seed": seed,
            "regret": float(regret[-1]),
            "trainings": len(trace.epochs),
            "finished": int(trace.promoted.sum()),
            "epochs": float(trace.epochs[-1]),
            "grid": grid.round(1).tolist(),
            "curve": regret[place].round(4).tolist(),
        }
