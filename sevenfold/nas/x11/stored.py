"""A fitted surrogate in a checkpoint: tensors, texts and plain values, enough to predict without its data."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import Space
from sevenfold.nas.x11.base import State
from sevenfold.nas.x11.export import read_space, space_state
from sevenfold.nas.x11.tensor import CurveTensor


def as_tensors(state: Mapping[str, Any]) -> State:
    """Return arrays as tensors; texts stay."""
    return {name: value if isinstance(value, str) else torch.tensor(value) for name, value in state.items()}


def as_arrays(state: Mapping[str, Any]) -> State:
    """Return tensors as arrays; texts stay."""
    return {name: value.numpy() if isinstance(value, Tensor) else value for name, value in state.items()}


def outline(space: Space, metrics: tuple[str, ...], epochs: int) -> dict[str, Any]:
    """Return what a surrogate must know of its curves: space, metrics, epochs; nothing if the space is one's
    own.
    """
    try:
        node, arrays = space_state(space)
    except InputError:
        return {}
    return {"space": node, "arrays": as_tensors(arrays), "metrics": list(metrics), "epochs": epochs}


def empty_tensor(stored: Mapping[str, Any], what: str) -> CurveTensor:
    """Return a tensor of no curves with the space, metrics and epochs of an :func:`outline`.

    Raises ``InputError`` where a checkpoint holds none; ``what`` is the class that reads it.
    """
    if not stored.get("space"):
        raise InputError(
            f"the checkpoint does not say which space its curves are of (it was saved before training ended, "
            f"by an earlier version, or for a space of one's own): call {what}.prepare_for() and use "
            "trainer.test(..., ckpt_path=...)"
        )
    space = read_space(dict(stored["space"]), as_arrays(stored["arrays"]))
    metrics = tuple(stored["metrics"])
    values = np.zeros((0, 1, int(stored["epochs"]), len(metrics)))
    return CurveTensor(space, np.zeros((0, space.width), np.int8), values, metrics)
