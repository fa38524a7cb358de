"""Run trials of search algorithms."""

from typing import Any

import pytorch_lightning as pl

from sevenfold.config import ConfigError
from sevenfold.nas.algorithms.objective import trial_record
from sevenfold.nas.algorithms.run import run_trials, start_trials


class NASTrials(pl.LightningModule):
    """Search until ``budget`` evaluations in every trial; one record a trial."""

    def __init__(self, *, budget: int = 150) -> None:
        super().__init__()
        if budget < 1:
            raise ConfigError("budget", f"must be at least 1, got {budget}")
        self.budget = budget

    def predict_step(self, batch: Any, batch_idx: int) -> list[dict[str, Any]]:
        """Run a block of ``datamodules.trials`` side by side."""
        if not batch.trials:
            return []
        trials = start_trials(batch.node, batch.objective.benchmark.space, batch.streams)
        traces = run_trials(trials, batch.objective.losses, budget=self.budget)
        return [
            {
                "key": key,
                "group": batch.label,
                "trial": trial,
                "searcher_seconds": trace.searcher_seconds,
                **trial_record(trace, batch.objective, batch.test),
            }
            for key, trial, trace in zip(batch.keys, batch.trials, traces, strict=True)
        ]
