"""HD1K (Kondermann et al., CVPRW 2016): about a thousand driving pairs of 2560x1080 px with sparse flow."""

from typing import Literal

from torchvision.datasets import HD1K

from sevenfold.flow.data.file_lists import list_files
from sevenfold.flow.data.layouts import Pair

LAYOUT = "hd1k/hd1k_input/image_2/SSSSSS_NNNN.png and hd1k/hd1k_flow_gt/flow_occ/SSSSSS_NNNN.png"


def hd1k(*, root: str = "data", split: Literal["train", "test"] = "train") -> list[Pair]:
    """List the pairs of a split of HD1K below ``root``; the test split has no flow."""
    files = list_files(lambda: HD1K(root, split=split), root=root, title="HD1K", layout=LAYOUT)
    return [Pair(image1, image2, flow, "hd1k", f"hd1k/{image1.stem}") for image1, image2, flow in files]
