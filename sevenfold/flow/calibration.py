"""Fitting of a model's calibration on procedural scenes that no training has seen."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.confidence import Calibration, calibrate, combination, signals
from sevenfold.flow.data.phases import Held, render_batch
from sevenfold.flow.metrics import end_point_error
from sevenfold.flow.network import FlowNetwork
from sevenfold.flow.synthetic import scene_bank

SPACING = 7  # of the pixels that are used, along the flattened picture: neighbors say the same


@torch.inference_mode()
def fit_calibration(
    network: FlowNetwork, *, steps: int, held: Held = Held(size=256, val_pairs=24), seed: int = 0
) -> Calibration:
    """Fit the calibration of a network on validation scenes, for every combination of signals that it has.

    Each pair gives its own flow and, in the same batch, that back. Needs the scenes' sides to be multiples of
    the network's stride.
    """
    bank = scene_bank(seed, "held out")
    data = held.batches("val", held.val_pairs, seed)
    values: dict[str, list[np.ndarray]] = defaultdict(list)
    for index in range(len(data)):
        batch = render_batch(data[index], bank, occlusion=False)
        for name, part in pixels(network, batch, steps).items():
            values[name].append(part.flatten()[::SPACING].float().cpu().numpy())
    joined = {name: np.concatenate(parts) for name, parts in values.items()}
    inside, error = joined.pop("inside") > 0.5, joined.pop("error")
    return calibrate(joined, inside, error, combinations("scale" in joined))


def combinations(scale: bool) -> Sequence[str]:
    """Return the combinations of signals that an estimator can meet."""
    extra = ["scale"] if scale else []
    return [
        combination([*names, *extra])
        for names in (("consistency", "step", "photo"), ("step", "photo"), ("step",))
    ]


def pixels(network: FlowNetwork, batch: FlowBatch, steps: int) -> dict[str, Tensor]:
    """Return the signals of a pair, where its flow ends ``inside``, and the ``error``, (1, H, W) each."""
    first, second = batch["image1"], batch["image2"]
    estimate = network.eval()(torch.cat([first, second]), torch.cat([second, first]), iterations=steps)
    return {
        **_signals(network, estimate, first, second),
        "error": end_point_error(estimate.flows[-1][:1], batch["flow"]),
    }


def _signals(network: FlowNetwork, estimate: Any, first: Tensor, second: Tensor) -> dict[str, Tensor]:
    forward, backward = estimate.flows[-1].chunk(2)
    assert estimate.change is not None
    step = network.decode((estimate.state[0], estimate.change))[:1]
    scale = None if estimate.scale is None else estimate.scale.expected()[:1]
    given = signals(forward, first, second, backward=backward, step=step, scale=scale)
    return {**given.maps, "inside": given.inside.float()}
