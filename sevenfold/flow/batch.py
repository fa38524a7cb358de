"""What data of optical flow and estimators exchange."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, cast

import torch
from torch import Tensor

from sevenfold.arrays import channels_first, images, tensor
from sevenfold.errors import InputError, shown
from sevenfold.flow.media.inputs import check_range
from sevenfold.flow.padding import PaddingRule

OWN = "own"
"""Name of a data set that has none: a plain loader's."""


class FlowItem(TypedDict):
    """One pair of any flow data set.

    ``image1``, ``image2``: float32 RGB (3, H, W) in [0, 1]. ``flow``: float32 (2, H, W) in px, zero where
    unknown. ``valid``: bool (H, W), False everywhere if there is no ground truth. ``name``: unique in the
    set. ``dataset``: name of the set. ``padding``: the rule ("sintel" or "kitti") of its benchmark.

    A pair of a video also has its ``sequence``, its ``index`` in it, whether it is the ``last``, and the
    ``frame``: the first picture's name without suffix. ``occluded``: bool (H, W), where that is known.
    ``supervised``: in mixes with pairs from whose pictures alone is learned, whether the truth is used.
    """

    image1: Tensor
    image2: Tensor
    flow: Tensor
    valid: Tensor
    name: str
    dataset: str
    padding: PaddingRule
    sequence: NotRequired[str]
    index: NotRequired[int]
    last: NotRequired[bool]
    frame: NotRequired[str]
    supervised: NotRequired[bool]
    occluded: NotRequired[Tensor]


class FlowBatch(TypedDict):
    """A batch of B :class:`FlowItem`: tensors have a first axis B, texts are lists of B."""

    image1: Tensor
    image2: Tensor
    flow: Tensor
    valid: Tensor
    name: list[str]
    dataset: list[str]
    padding: list[PaddingRule]
    sequence: NotRequired[list[str]]
    index: NotRequired[Tensor]
    last: NotRequired[Tensor]
    frame: NotRequired[list[str]]
    supervised: NotRequired[Tensor]
    occluded: NotRequired[Tensor]


class FlowPrediction(TypedDict):
    """An estimate for a batch: ``flow`` (B, 2, H, W) in px.

    ``evaluations``: of f that each pair of a video took, (B,).
    """

    flow: Tensor
    evaluations: NotRequired[Tensor]


def image_pair(image1: Any, image2: Any) -> tuple[Tensor, Tensor]:
    """Return two pictures, or batches of them, as float32 (B, 3, H, W) in [0, 1]; they have one shape."""
    first, second = images(image1, "image1"), images(image2, "image2")
    if first.shape != second.shape:
        raise InputError(
            f"image1 and image2 must have one shape, got {tuple(first.shape)} and {tuple(second.shape)}"
        )
    return first, second


def complete(batch: Any, number: int, *, truth: bool) -> FlowBatch:
    """Return a batch of any loader as a :class:`FlowBatch`; one of the suite's data modules is one already.

    Args:
        batch: ``(image1, image2)``, ``(image1, image2, flow)`` or ``(image1, image2, flow, valid)``, or a
            mapping with these keys; other entries of a mapping stay.
        number: of the first pair in its epoch; pairs without a name are called after it.
        truth: whether ``flow`` must be there. Without ``valid`` it is known where it is finite.
    """
    keys = ("image1", "image2", "flow", "valid")
    if isinstance(batch, list | tuple) and 2 <= len(batch) <= len(keys):
        batch = dict(zip(keys, batch, strict=False))
    if not isinstance(batch, Mapping) or not {"image1", "image2"} <= batch.keys():
        what = sorted(batch) if isinstance(batch, Mapping) else type(batch).__name__
        raise InputError(
            f"a batch of flow is (image1, image2) or a mapping with these keys, got {shown(what)}"
        )
    if {"dataset", "name", "padding"} <= batch.keys():
        # The first batch of a loader alone: to look at every one would make an accelerator wait.
        for name in ("image1", "image2") if number == 0 else ():
            check_range(batch[name], name)
        return cast(FlowBatch, batch)
    first, second = image_pair(batch["image1"], batch["image2"])
    pairs = range(len(first))
    whole: dict[str, Any] = {
        "name": [f"{OWN}/{number + i:06d}" for i in pairs],
        "dataset": [OWN for _ in pairs],
        "padding": ["sintel" for _ in pairs],
        **batch,
        "image1": first,
        "image2": second,
    }
    if "flow" in batch:
        whole |= _truth(batch["flow"], batch.get("valid"), first)
    elif truth:
        raise InputError("a batch to train on or to score needs 'flow' (B, 2, H, W) in px beside the images")
    else:
        whole |= {"flow": torch.zeros_like(first[:, :2]), "valid": torch.zeros_like(first[:, 0]).bool()}
    return cast(FlowBatch, whole)


def _truth(flow: Any, valid: Any, image: Tensor) -> dict[str, Tensor]:
    """Return flow (B, 2, H, W) and where it is known (B, H, W), for images of that size."""
    field = flow if isinstance(flow, Tensor) else tensor(flow, "flow")
    field = channels_first(field, "flow", 2).float()
    if field.shape[0] != image.shape[0] or field.shape[2:] != image.shape[2:]:
        raise InputError(
            f"flow must be as large as its images, {tuple(image.shape)}, got {tuple(field.shape)}"
        )
    # Many tools write NaN or infinity where the truth is not known.
    finite = field.isfinite().all(1)
    known = finite if valid is None else tensor(valid, "valid").bool().view(finite.shape) & finite
    return {"flow": field.where(known[:, None], 0), "valid": known}
