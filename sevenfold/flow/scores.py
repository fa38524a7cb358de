"""Measures of an evaluation, pooled by name: exact over batches and processes, whatever names each has met."""

import torch.distributed as dist
from torch import Tensor

from sevenfold.flow.metrics import EndPointError, MaskedMean

# A data set of at most this many pairs has each pair's own error reported too.
FEW_PAIRS = 8


class Scores:
    """Collect sums and counts under names such as ``test/kitti/epe``; ``means`` divides them.

    The processes' names need not agree, for sums are exchanged together with their names.
    """

    def __init__(self) -> None:
        self.sums: dict[str, tuple[float, int]] = {}

    def add(self, name: str, total: float, count: int) -> None:
        """Add a sum and its count to what is there under ``name``."""
        old = self.sums.get(name, (0.0, 0))
        self.sums[name] = (old[0] + total, old[1] + count)

    def measure(self, name: str, metric: MaskedMean, pred: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add what ``metric`` finds in flow (B, 2, H, W) with validity (B, H, W)."""
        metric = metric.to(pred.device)
        metric.reset()
        metric.update(pred, target, valid)
        self.add(name, float(metric.total), int(metric.count))

    def means(self) -> dict[str, float]:
        """Return every mean over all processes, by name and in one order everywhere; names without a count are left out."""
        shards = [self.sums]
        if dist.is_available() and dist.is_initialized():
            shards = [{} for _ in range(dist.get_world_size())]
            dist.all_gather_object(shards, self.sums)
        joined = Scores()
        for shard in shards:
            for name, (total, count) in shard.items():
                joined.add(name, total, count)
        return {name: total / count for name, (total, count) in sorted(joined.sums.items()) if count}


def end_point_error(dataset: str) -> EndPointError:
    """Return the end-point error as the data set's benchmark averages it: KITTI by image, others by pixel."""
    return EndPointError(average="images" if dataset.startswith("kitti") else "pixels")
