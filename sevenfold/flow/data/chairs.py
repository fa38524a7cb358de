"""FlyingChairs (Dosovitskiy et al., ICCV 2015): 22,232 training and 640 validation pairs of 512x384 px."""

from typing import Literal

from torchvision.datasets import FlyingChairs

from sevenfold.flow.data.file_lists import list_files
from sevenfold.flow.data.layouts import Pair

LAYOUT = (
    "FlyingChairs/data/NNNNN_img1.ppm, NNNNN_img2.ppm, NNNNN_flow.flo and the official split list "
    "FlyingChairs/FlyingChairs_train_val.txt (a line per pair, 1 = train, 2 = validation)"
)


def flying_chairs(*, root: str = "data", split: Literal["train", "val"] = "train") -> list[Pair]:
    """List the pairs of a split of FlyingChairs below ``root``."""
    files = list_files(
        lambda: FlyingChairs(root, split=split), root=root, title="FlyingChairs", layout=LAYOUT
    )
    return [
        Pair(image1, image2, flow, "chairs", f"chairs/{image1.stem.removesuffix('_img1')}")
        for image1, image2, flow in files
    ]
