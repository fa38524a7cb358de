"""Debias base networks and judge the outcome on rows that no method has seen."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from sevenfold.config import ConfigError
from sevenfold.fairness.evaluate import bootstrap_interval, by_group, decide, figures, intersections
from sevenfold.fairness.intra.base import Problem
from sevenfold.fairness.network import Logits, TabularNet
from sevenfold.fairness.threshold import Search
from sevenfold.fairness.training import Training, area_under_curve, logistic_auc, new_network, train_copies
from sevenfold.seeding import torch_generator


@dataclass(frozen=True)
class BaseNetwork:
    """Say which base networks are trained; one for each seed, all at once."""

    width: int = 32
    depth: int = 10
    dropout: float = 0.2
    training: Training = Training()


class DebiasTrials(pl.LightningModule):
    """Run the methods of an item of ``datamodules.fairness.FairnessTrials``; one record each.

    Args:
        base: the networks that are debiased. They are trained on the train rows, kept in ``bases/`` of the
            run's folder, and never touched again.
        search: how thresholds are searched.
        chunk: candidates scored at a time; results do not depend on it.
    """

    def __init__(
        self, *, base: BaseNetwork = BaseNetwork(), search: Search = Search(), chunk: int = 32
    ) -> None:
        super().__init__()
        if chunk < 1:
            raise ConfigError("chunk", f"must be at least 1, got {chunk}")
        self.base, self.search, self.chunk = base, search, chunk
        self._bases: dict[str, dict[int, TabularNet]] = {}

    def predict_step(self, item: Any, batch_idx: int) -> list[dict[str, Any]]:
        """Return the records."""
        if not item.methods:
            return []
        with torch.inference_mode(False), torch.enable_grad():
            split, network = item.setting.split(item.seed), self.bases(item.setting)[item.seed]
            val = split.val
            problem = Problem(
                Logits(network, "logit"), val.x, val.y, val.a,
                item.objective, self.search, item.seed, self.chunk,
            )  # fmt: skip
            return [self._record(item, label, problem, split) for label in item.methods]

    def _record(self, item: Any, label: str, problem: Problem, split: Any) -> dict[str, Any]:
        node, objective, test = item.methods[label], item.objective, split.test
        facts, seen, unseen = decide(node, problem, test)
        on_val = figures(seen, split.val, objective.measure, objective.epsilon)
        stream = torch_generator(item.seed, "interval", item.group(label))
        low, high = bootstrap_interval(unseen, test, objective.measure, generator=stream)
        scores = problem.scores(x=test.x)
        record = {
            "key": f"{item.group(label)}/{item.seed:05d}",
            "group": item.group(label),
            "seed": item.seed,
            "method": node["name"],
            "table": item.setting.table.name,
            "coding": {**item.setting.table.coding, "protected": item.setting.protected},
            **figures(unseen, test, objective.measure, objective.epsilon),
            **{f"val_{name}": on_val[name] for name in ("balanced_accuracy", "mu", "within")},
            **facts,
            "mu_low": low,
            "mu_high": high,
            "by_group": by_group(
                unseen, test, intersections(item.setting.test_attributes(item.seed)), scores.sigmoid()
            ),
        }
        if node["name"] == "base":
            record["auc"] = float(area_under_curve(scores, test.y))
            record["logistic_auc"] = logistic_auc(split.train.x, split.train.y, test.x, test.y)
        return record

    def bases(self, setting: Any) -> dict[int, TabularNet]:
        """Return the setting's base networks by seed: from memory, from the run's folder, or trained."""
        if setting.name not in self._bases:
            self._bases[setting.name] = self._load_or_train(setting)
        return self._bases[setting.name]

    def _load_or_train(self, setting: Any) -> dict[int, TabularNet]:
        path = Path(self.trainer.default_root_dir) / "bases" / f"{setting.name}.pt"
        splits = [setting.split(seed) for seed in setting.seeds]
        shape = {"width": self.base.width, "depth": self.base.depth, "dropout": self.base.dropout}
        networks = [new_network(s.train.x.shape[1], seed, **shape)
                    for seed, s in zip(setting.seeds, splits, strict=True)]  # fmt: skip
        if path.is_file():
            for network, state in zip(networks, torch.load(path, weights_only=True), strict=True):
                network.load_state_dict(state)
            return dict(zip(setting.seeds, [n.eval() for n in networks], strict=True))
        trained = train_all(networks, splits, self.base.training, setting.seeds)
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        torch.save([network.state_dict() for network in trained], temporary)
        os.replace(temporary, path)
        return dict(zip(setting.seeds, trained, strict=True))


def train_all(
    networks: list[TabularNet], splits: list[Any], training: Training, seeds: list[int]
) -> list[TabularNet]:
    """Train networks side by side; those whose number of features differs (grouped levels) one by one."""
    train = [(s.train.x, s.train.y) for s in splits]
    val = [(s.val.x, s.val.y) for s in splits]
    if len({x.shape for x, _ in train}) == 1:
        return train_copies(networks, train, val, training, seeds)
    return [
        train_copies([n], [t], [v], training, [seed])[0]
        for n, t, v, seed in zip(networks, train, val, seeds, strict=True)
    ]
