"""The picture of a landscape, with the theory of uniform random losses over it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevenfold.nas.landscape.theory import uniform_ends, uniform_minima, uniform_preimage


def draw_landscape(
    path: Path, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], clip: float | None
) -> None:
    """Draw how near to the optimum climbs end, how many pass through an architecture of some loss, the
    autocorrelation of random walks, and the number of minima under noise.

    Losses are scaled to [0, 1] by the range from the lowest to ``clip`` above it.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.4), layout="constrained")
    ends, sizes, walk, noise = figure.subplots(1, 4)
    degree, low = record["degree"], record["optimum_loss"]
    clip = clip or 2 * (np.median(arrays["losses"]) - low)
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
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
