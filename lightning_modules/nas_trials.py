"""Run trials of search algorithms."""

from typing import Any

import pytorch_lightning as pl
import torch

from sevenfold.config import ConfigError, build
from sevenfold.executors import EXECUTORS
from sevenfold.nas.algorithms.objective import trial_record
from sevenfold.nas.algorithms.run import run_trials, start_trials

HERE = {"name": "here"}


class NASTrials(pl.LightningModule):
    """Search until ``budget`` evaluations in every trial; one record a trial.

    ``executor``: where blocks of trials are computed, a component of ``sevenfold.executors.EXECUTORS``.
    """

    def __init__(self, *, budget: int = 150, executor: dict[str, Any] = HERE) -> None:
        super().__init__()
        if budget < 1:
            raise ConfigError("budget", f"must be at least 1, got {budget}")
        self.budget = budget
        self.executor = build(EXECUTORS, executor, "executor")

    def predict_step(self, batch: Any, batch_idx: int) -> list[dict[str, Any]]:
        """Run a block of ``datamodules.trials`` side by side."""
        last = batch_idx + 1 >= int(self.trainer.num_predict_batches[0])
        found: list[dict[str, Any]] = self.executor.run(search, batch, self.budget, last=last)
        return found


def search(block: Any, budget: int) -> list[dict[str, Any]]:
    """Return the records of a block's trials."""
    if not block.trials:
        return []
    with torch.inference_mode(False), torch.enable_grad():  # models are trained inside
        trials = start_trials(block.node, block.objective.benchmark.space, block.streams)
        traces = run_trials(trials, block.objective.losses, budget=budget)
    return [
        {
            "key": key,
            "group": block.label,
            "trial": trial,
            "searcher_seconds": trace.searcher_seconds,
            **block.facts,
            "budget": budget,
            **trial_record(trace, block.objective, block.test),
        }
        for key, trial, trace in zip(block.keys, block.trials, traces, strict=True)
    ]
