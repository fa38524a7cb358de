"""Scores of an evaluation by data set and pair, exact over batches and processes."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from sevenfold.flow.metrics import EndPointError, FlAll, MaskedMean, WithinPixels

SINTEL: dict[str, MaskedMean] = {
    "1px": WithinPixels(threshold=1),
    "3px": WithinPixels(threshold=3),
    "5px": WithinPixels(threshold=5),
    "s0-10": EndPointError(speed=(0, 10)),
    "s10-40": EndPointError(speed=(10, 40)),
    "s40+": EndPointError(speed=(40, float("inf"))),
}

# What benchmarks report beside the end-point error.
BENCHMARKS: dict[str, dict[str, MaskedMean]] = {
    "kitti": {"fl_all": FlAll()},
    "sintel_clean": SINTEL,
    "sintel_final": SINTEL,
}

# Pixels that move by so many px or more do not count: mistakes of the ground truth.
FASTEST = {"things_clean": 400.0, "things_final": 400.0}

# A data set of at most this many pairs has each pair reported too.
FEW_PAIRS = 8


class Scores:
    """Collect sums and counts under names such as ``test/kitti/epe``; ``means`` divides them.

    The processes' names need not agree, for sums are exchanged together with their names. A name may belong
    to one pair of a data set.
    """

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str, str], tuple[float, int]] = {}

    def add(self, name: str, total: float, count: int, *, dataset: str = "", pair: str = "") -> None:
        """Add a sum and its count to what is there under ``name``."""
        old = self.sums.get((name, dataset, pair), (0.0, 0))
        self.sums[name, dataset, pair] = (old[0] + total, old[1] + count)

    def means(self) -> dict[str, float]:
        """Return the means over all processes, sorted by name; names without a count are left out."""
        shards = [self.sums]
        if dist.is_available() and dist.is_initialized():
            shards = [{} for _ in range(dist.get_world_size())]
            dist.all_gather_object(shards, self.sums)
        # Float64 sums keep the order of processes out of the last digits that are reported.
        joined, pairs = Scores(), defaultdict(set)
        for shard in shards:
            for (name, dataset, pair), (total, count) in shard.items():
                joined.add(name, total, count, dataset=dataset, pair=pair)
                pairs[dataset].add(pair)
        return {
            name: total / count
            for (name, dataset, pair), (total, count) in sorted(joined.sums.items())
            if count and not (pair and len(pairs[dataset]) > FEW_PAIRS)
        }

    def add_flow(
        self, stage: str, batch: Mapping[str, Any], flow: Tensor, budgets: Mapping[int, Tensor]
    ) -> None:
        """Score a batch's flow (B, 2, H, W) and zero flow, in testing also each budget and single pairs.

        Sintel's scenes are scored one by one as well.
        ``batch`` holds ``flow``, ``valid``, ``dataset`` and ``name``, one of each per sample.
        """
        tested = {"epe": flow, **{f"epe_at_{steps}": each for steps, each in budgets.items()}}
        for i, (dataset, pair) in enumerate(zip(batch["dataset"], batch["name"], strict=True)):
            target, valid = batch["flow"][i : i + 1], batch["valid"][i : i + 1]
            if dataset in FASTEST:
                valid = valid & (torch.linalg.vector_norm(target, dim=1) < FASTEST[dataset])

            def add(name: str, metric: MaskedMean, pred: Tensor, **place: str) -> None:
                total, count = _measure(metric, pred, target, valid)  # noqa: B023 (called here only)
                self.add(name, total, count, **place)

            single = stage == "test" and dataset != "synthetic"  # nobody knows a random scene by its name
            error = EndPointError(average="images" if dataset == "kitti" else "pixels")
            for name, each in tested.items():
                add(f"{stage}/{dataset}/{name}", error, each[i : i + 1])
                if single:
                    add(f"{stage}/{pair}/{name}", error, each[i : i + 1], dataset=dataset, pair=pair)
            zero = torch.zeros_like(target)
            add(f"reference/{stage}/{dataset}/zero_flow_epe", error, zero)
            if stage == "test":
                if single:
                    add(f"reference/{stage}/{pair}/zero_flow_epe", error, zero, dataset=dataset, pair=pair)
                if dataset.startswith("sintel"):  # DATASET/SCENE/frame_NNNN
                    scene = pair.rpartition("/")[0]
                    add(f"{stage}/{scene}/epe", error, flow[i : i + 1])
                    add(f"reference/{stage}/{scene}/zero_flow_epe", error, zero)
            for name, metric in BENCHMARKS.get(dataset, {}).items():
                add(f"{stage}/{dataset}/{name}", metric, flow[i : i + 1])

    def add_solution(self, stage: str, batch: Mapping[str, Any], solution: Any) -> None:
        """Score how a batch was solved: evaluations of f, and the relative residual."""
        for i, dataset in enumerate(batch["dataset"]):
            self.add(f"{stage}/{dataset}/evaluations", float(solution.steps[i]), 1)
            self.add(f"{stage}/{dataset}/residual", float(solution.residual_rel[i]), 1)


def _measure(metric: MaskedMean, pred: Tensor, target: Tensor, valid: Tensor) -> tuple[float, int]:
    """Return the sum and the count that ``metric`` takes from one sample."""
    metric = metric.to(pred.device)
    metric.reset()
    metric.update(pred, target, valid)
    return float(metric.total), int(metric.count)
