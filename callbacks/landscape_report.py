"""What landscapes came to: numbers by table, and one figure each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from callbacks.records import RecordsWriter
from sevenfold.files import write_text
from sevenfold.nas.landscape.theory import uniform_ends, uniform_minima, uniform_preimage

NUMBERS = (
    "minima", "strict_minima", "share_to_optimum", "steps_mean", "steps_max", "largest_basin", "optimum_loss",
    "autocorrelation_lag_1",
)  # fmt: skip


class LandscapeReport(RecordsWriter):
    """Write the records of tables and draw, with the theory of uniform random losses over it, how near to
    the optimum climbs end, how many pass through an architecture of some loss, the autocorrelation of random
    walks, and the number of minima under noise.

    Results are ``minima``, ``strict_minima``, ``share_to_optimum``, ``steps_mean``, ``steps_max``,
    ``largest_basin``, ``optimum_loss`` and ``autocorrelation_lag_1``, below the name of the table where the
    run has several; ``uniform_minima``, the count expected of random losses, is the reference. Losses are
    scaled to [0, 1] by the range from the lowest to ``clip`` above it, default the median's distance twice.
    """

    def __init__(self, *, clip: float | None = None) -> None:
        super().__init__()
        self.clip = clip

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: dict[str, Any],
        batch_indices: Sequence[int] | None,
        batch: Any,
        *place: int,
    ) -> None:
        """Append the numbers to this rank's shard, write the arrays beside and draw them."""
        folder = Path(trainer.default_root_dir)
        for name in ("images", "analysis"):
            (folder / name).mkdir(exist_ok=True)
        arrays = {name: prediction.pop(name) for name in ("losses", "gaps", "preimages")}
        stem = "landscape_" + prediction["key"].replace("/", "_")
        write_text(folder / f"analysis/{stem}.json", json.dumps({**prediction, **arrays}) + "\n")
        self._draw(folder / f"images/{stem}.png", prediction, {k: np.array(v) for k, v in arrays.items()})
        prediction["uniform_minima"] = uniform_minima(len(arrays["losses"]), prediction["degree"])
        super().write_on_batch_end(trainer, pl_module, prediction, batch_indices, batch, *place)

    def results(self) -> dict[str, float]:
        """Return the numbers of every table."""
        found: dict[str, float] = {}
        for record in self._records:
            prefix = f"{record['key']}/" if len(self._records) > 1 else ""
            found |= {f"{prefix}{name}": record[name] for name in NUMBERS}
            found[f"reference/{prefix}uniform_minima"] = record["uniform_minima"]
        return found

    def _draw(self, path: Path, record: dict[str, Any], arrays: dict[str, Any]) -> None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(13, 3.4), layout="constrained")
        ends, sizes, walk, noise = figure.subplots(1, 4)
        degree, low = record["degree"], record["optimum_loss"]
        clip = self.clip or 2 * (np.median(arrays["losses"]) - low)
        grid = np.geomspace(1e-3, 1, 60)
        share = [(arrays["gaps"] <= gap * clip).mean() for gap in grid]
        ends.plot(grid, share, label="table")
        ends.plot(grid, uniform_ends(grid, degree), "--", label="uniform losses")
        ends.set(xlabel="gap to the optimum / range", ylabel="share of climbs", xscale="log")
        sizes.scatter((arrays["losses"] - low) / clip, arrays["preimages"], s=4, label="table")
        sizes.plot(grid, uniform_preimage(grid, degree), "C1--", label="uniform losses")
        sizes.set(xlabel="scaled loss", ylabel="climbs through it", yscale="log", xlim=(0, 1))
        lags = np.arange(len(record["autocorrelation"]))
        walk.plot(np.sqrt(lags), record["autocorrelation"], label="table")
        walk.axhline(0, color="C1", linestyle="--", label="uniform losses")
        walk.set(xlabel="square root of the lag", ylabel="autocorrelation of a random walk")
        if "noise" in record:
            counts = np.array(record["noisy_minima"])
            noise.errorbar(record["noise"], counts.mean(axis=1), counts.std(axis=1), label="table")
            noise.axhline(uniform_minima(len(arrays["losses"]), degree), color="C1", linestyle="--")
            noise.set(xlabel="noise / retraining noise", ylabel="local minima")
        ends.legend(fontsize=8)
        figure.suptitle(f"{record['key']}: {record['minima']} local minima")
        figure.savefig(path, dpi=110)
