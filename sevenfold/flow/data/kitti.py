"""KITTI 2015 (Menze and Geiger, CVPR 2015): 200 training pairs of driving, flow at a fifth of the pixels."""

from typing import Literal

from torchvision.datasets import KittiFlow

from sevenfold.flow.data.file_lists import list_files
from sevenfold.flow.data.layouts import Pair

LAYOUT = (
    "KittiFlow/training/image_2/NNNNNN_10.png, NNNNNN_11.png, KittiFlow/training/flow_occ/NNNNNN_10.png and "
    "KittiFlow/testing/image_2"
)


def kitti_2015(*, root: str = "data", split: Literal["train", "test"] = "train") -> list[Pair]:
    """List the pairs of a split of KITTI 2015 below ``root``; the test split has no flow."""
    files = list_files(lambda: KittiFlow(root, split=split), root=root, title="KITTI 2015", layout=LAYOUT)
    return [Pair(image1, image2, flow, "kitti", f"kitti/{image1.stem}") for image1, image2, flow in files]
