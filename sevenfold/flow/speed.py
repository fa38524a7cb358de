"""The end-point error of pixels by their true speed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.metrics import end_point_error
from sevenfold.flow.scores import Scores


class SpeedBins:
    """Sums of errors in bins of true speed, data set by data set, exact over batches and processes.

    ``bounds``: speeds in px at which one bin ends and the next begins.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        if not bounds or list(bounds) != sorted(set(bounds)):
            raise ConfigError("bounds", f"must be increasing positive speeds, got {bounds}")
        self.bounds = list(bounds)
        self.scores = Scores()

    def add(self, batch: FlowBatch, flow: Tensor) -> None:
        """Sort the errors of an estimate (B, 2, H, W) into the bins."""
        target = batch["flow"].double()
        error = end_point_error(flow.double(), target)
        speed = torch.linalg.vector_norm(target, dim=1)
        bounds = torch.tensor(self.bounds, dtype=speed.dtype, device=speed.device)
        bins = torch.bucketize(speed, bounds, right=True)
        for i, dataset in enumerate(batch["dataset"]):
            inside, which = batch["valid"][i], bins[i]
            for place, label in enumerate(self.labels()):
                chosen = error[i][inside & (which == place)]
                self.scores.add(f"speed/{dataset}/{label}", float(chosen.sum()), len(chosen))

    def means(self) -> dict[str, float]:
        """Return ``{"speed/DATASET/LOW-HIGH": mean error}`` over all processes; each must take part."""
        return self.scores.means()

    def labels(self) -> list[str]:
        """Return the bins' names, the slowest first."""
        ends = [f"{bound:g}" for bound in self.bounds]
        return [f"{low}-{high}" for low, high in zip(["0", *ends], ends, strict=False)] + [f"{ends[-1]}+"]
