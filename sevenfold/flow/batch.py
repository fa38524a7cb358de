"""What data of optical flow and estimators exchange."""

from typing import NotRequired, TypedDict

from torch import Tensor

from sevenfold.flow.padding import PaddingRule


class FlowItem(TypedDict):
    """One pair of any flow data set.

    ``image1``, ``image2``: float32 RGB (3, H, W) in [0, 1]. ``flow``: float32 (2, H, W) in px, zero where
    unknown. ``valid``: bool (H, W), False everywhere if there is no ground truth. ``name``: unique in the
    set. ``dataset``: name of the set. ``padding``: the rule ("sintel" or "kitti") of its benchmark.

    A pair of a video also has its ``sequence``, its ``index`` in it, whether it is the ``last``, and the
    ``frame``: the first picture's name without suffix.
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


class FlowPrediction(TypedDict):
    """An estimate for a batch: ``flow`` (B, 2, H, W) in px.

    ``evaluations``: of f that each pair of a video took, (B,).
    """

    flow: Tensor
    evaluations: NotRequired[Tensor]
