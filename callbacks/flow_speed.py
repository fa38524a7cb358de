"""Where the error of a flow estimator lies: by the true speed of pixels, data set by data set."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from sevenfold.config import ConfigError
from sevenfold.errors import InputError
from sevenfold.flow.metrics import end_point_error
from sevenfold.flow.scores import Scores
from sevenfold.ranges import Positive


class FlowSpeed(pl.Callback):
    """Report the end-point error of tested pixels by true speed, exact over batches and processes.

    ``bounds``: speeds in px at which one bin ends and the next begins. Adds ``speed/DATASET/LOW-HIGH`` to the
    results and draws ``images/speed.png``.
    """

    def __init__(self, *, bounds: list[Positive] = [1, 2, 5, 10, 20, 40, 80]) -> None:  # noqa: B006
        if not bounds or bounds != sorted(set(bounds)):
            raise ConfigError("bounds", f"must be increasing positive speeds, got {bounds}")
        self.bounds = bounds
        self._scores = Scores()
        self._means: dict[str, float] = {}

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin anew."""
        self._scores = Scores()

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: int
    ) -> None:
        """Sort the batch's errors into the bins."""
        if not isinstance(outputs, dict) or "flow" not in outputs:
            raise InputError("flow_speed needs steps that return {'flow': ...}; use it with a model of flow")
        target = batch["flow"].double()
        error = end_point_error(outputs["flow"].double(), target)
        speed = torch.linalg.vector_norm(target, dim=1)
        bins = torch.bucketize(
            speed, torch.tensor(self.bounds, dtype=speed.dtype, device=speed.device), right=True
        )
        for i, dataset in enumerate(batch["dataset"]):
            inside, which = batch["valid"][i], bins[i]
            for place, label in enumerate(self._labels()):
                chosen = error[i][inside & (which == place)]
                self._scores.add(f"speed/{dataset}/{label}", float(chosen.sum()), len(chosen))

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Exchange the sums; every process takes part."""
        self._means = self._scores.means()

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the bins."""
        if not trainer.is_global_zero or not self._means:
            return
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axes, labels = figure.add_subplot(), self._labels()
        datasets = sorted({name.split("/")[1] for name in self._means})
        for place, dataset in enumerate(datasets):
            heights = [self._means.get(f"speed/{dataset}/{label}", 0.0) for label in labels]
            width = 0.8 / len(datasets)
            axes.bar([x + place * width for x in range(len(labels))], heights, width, label=dataset)
        axes.set_xticks([x + 0.4 - 0.4 / len(datasets) for x in range(len(labels))], labels)
        axes.set(xlabel="true speed, px", ylabel="end-point error, px")
        axes.legend()
        path = Path(trainer.default_root_dir) / "images/speed.png"
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, dpi=110)

    def results(self) -> dict[str, float]:
        """Return the mean error of each bin that has pixels."""
        return self._means

    def _labels(self) -> list[str]:
        ends = [f"{bound:g}" for bound in self.bounds]
        return [f"{low}-{high}" for low, high in zip(["0", *ends], ends, strict=False)] + [f"{ends[-1]}+"]
