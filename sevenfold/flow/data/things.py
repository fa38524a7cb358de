"""FlyingThings3D (Mayer et al., CVPR 2016): left camera, motion into the future and into the past."""

from typing import Literal

from torchvision.datasets import FlyingThings3D

from sevenfold.flow.data.file_lists import list_files
from sevenfold.flow.data.layouts import Pair

LAYOUT = (
    "FlyingThings3D/frames_cleanpass and frames_finalpass/TRAIN|TEST/A|B|C/NNNN/left/NNNN.png and "
    "FlyingThings3D/optical_flow/TRAIN|TEST/A|B|C/NNNN/into_future|into_past/left/*.pfm"
)

Split = Literal["train", "test"]


def things_clean(*, root: str = "data", split: Split = "train") -> list[Pair]:
    """List the pairs of a split of the clean pass below ``root``."""
    return _things(root, split, "clean")


def things_final(*, root: str = "data", split: Split = "train") -> list[Pair]:
    """List the pairs of a split of the final pass (with blur and haze) below ``root``."""
    return _things(root, split, "final")


def _things(root: str, split: Split, render: Literal["clean", "final"]) -> list[Pair]:
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
