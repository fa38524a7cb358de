"""MPI Sintel (Butler et al., ECCV 2012): 1,041 training pairs of 1024x436 px in a clean and a final pass."""

from typing import Literal

from torchvision.datasets import Sintel

from sevenfold.flow.data.file_lists import list_files
from sevenfold.flow.data.layouts import Pair

LAYOUT = (
    "Sintel/training/clean|final/SCENE/frame_NNNN.png, Sintel/training/flow/SCENE/frame_NNNN.flo and "
    "Sintel/test/clean|final/SCENE/frame_NNNN.png"
)

Split = Literal["train", "test"]
Pass = Literal["clean", "final"]
PASSES: list[Pass] = ["clean", "final"]


def mpi_sintel(*, root: str = "data", split: Split = "train", passes: list[Pass] = PASSES) -> list[Pair]:
    """List the pairs of a split below ``root``, pass after pass; the test split has no flow.

    Args:
        passes: of rendering.
    """
    return [pair for render in passes for pair in _sintel(root, split, render)]


def _sintel(root: str, split: Split, render: Pass) -> list[Pair]:
    files = list_files(
        lambda: Sintel(root, split=split, pass_name=render), root=root, title="Sintel", layout=LAYOUT
    )
    dataset = f"sintel_{render}"
    return [
        Pair(image1, image2, flow, dataset, f"{dataset}/{image1.parent.name}/{image1.stem}")
        for image1, image2, flow in files
    ]
