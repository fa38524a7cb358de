"""FlyingThings3D (Mayer et al., CVPR 2016): left camera, motion into the future and into the past."""

from typing import Literal

from torchvision.datasets import FlyingThings3D

from sevenfold.flow.data.file_lists import list_files
from sevenfold.flow.data.layouts import Pair
from sevenfold.flow.data.sintel import PASSES, Pass

LAYOUT = (
    "FlyingThings3D/frames_cleanpass and frames_finalpass/TRAIN|TEST/A|B|C/NNNN/left/NNNN.png and "
    "FlyingThings3D/optical_flow/TRAIN|TEST/A|B|C/NNNN/into_future|into_past/left/*.pfm"
)

Split = Literal["train", "test"]


def flying_things(*, root: str = "data", split: Split = "train", passes: list[Pass] = PASSES) -> list[Pair]:
    """List the pairs of a split below ``root``, pass after pass (the final one has blur and haze).

    Args:
        passes: of rendering.
    """
    return [pair for render in passes for pair in _things(root, split, render)]


def _things(root: str, split: Split, render: Pass) -> list[Pair]:
    files = list_files(
        lambda: FlyingThings3D(root, split=split, pass_name=render),
        root=root,
        title="FlyingThings3D",
        layout=LAYOUT,
    )
    dataset = f"things_{render}"
    pairs = []
    for image1, image2, flow in files:
        _, group, scene, *_ = image1.parts[-5:]
        direction = "into_future" if image1 < image2 else "into_past"
        pairs.append(
            Pair(image1, image2, flow, dataset, f"{dataset}/{group}/{scene}/{direction}/{image1.stem}")
        )
    return pairs
