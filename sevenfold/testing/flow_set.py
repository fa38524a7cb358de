"""The contract of a data set of optical flow."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from sevenfold.flow.data.layouts import Pair
from sevenfold.flow.data.pairs import PairDataset
from sevenfold.testing.contract import Check, require, run_checks

Lister = Callable[..., list[Pair]]
LOOKED_AT = 4


def check_flow_set(pairs: Lister, root: str | Path, splits: Sequence[str] = ("train",)) -> None:
    """Check that a data set lists files that exist, and that its flow leads from image 1 to image 2.

    Args:
        pairs: the function that lists the pairs, ``pairs(root=..., split=...)``.
        root: the folder of data.
        splits: which ones to look at; the first must have ground truth.

    >>> try:
    ...     check_flow_set(lambda root, split: [], "data")
    ... except AssertionError as error:
    ...     print(error)
    splits_are_listed: Every split has pairs with a name of their own; ... 'train' is empty.
    """
    run_checks(CHECKS, {split: pairs(root=str(root), split=split) for split in splits})


def splits_are_listed(splits: dict[str, list[Pair]]) -> None:
    """Every split has pairs with a name of their own; their files exist and are in no other split."""
    taken: dict[Path, str] = {}
    for split, pairs in splits.items():
        require(pairs, f"'{split}' is empty.")
        require(len({pair.name for pair in pairs}) == len(pairs), f"'{split}' repeats a name.")
        for pair in pairs:
            for path in (pair.image1, pair.image2, *([pair.truth] if pair.truth else [])):
                require(Path(path).is_file(), f"'{path}' of '{pair.name}' does not exist.")
            place = Path(pair.image1)
            require(taken.get(place, split) == split, f"'{place}' is in '{taken.get(place)}' and '{split}'.")
            taken[place] = split


def items_are_consistent(splits: dict[str, list[Pair]]) -> None:
    """Pictures are (3, H, W) bytes or numbers up to 255, with a flow (2, H, W) of the same size."""
    for pairs in splits.values():
        for index in range(min(LOOKED_AT, len(pairs))):
            item = PairDataset(pairs)[index]
            size = item["image1"].shape[1:]
            require(
                item["image1"].shape == (3, *size), f"{item['name']}: image {tuple(item['image1'].shape)}."
            )
            require(item["flow"].shape == (2, *size), f"{item['name']}: flow {tuple(item['flow'].shape)}.")
            require(item["valid"].shape == size, f"{item['name']}: validity {tuple(item['valid'].shape)}.")


def flow_leads_forward(splits: dict[str, list[Pair]]) -> None:
    """Image 2 sampled where the flow leads resembles image 1 more than with the opposite or no flow."""
    pairs = next(iter(splits.values()))
    error = {"as given": 0.0, "none": 0.0, "opposite": 0.0}
    for index in range(min(LOOKED_AT, len(pairs))):
        item = PairDataset(pairs)[index]
        require(item["valid"].any(), f"{item['name']}: no pixel of the ground truth is valid.")
        for name, sign in (("as given", 1.0), ("none", 0.0), ("opposite", -1.0)):
            error[name] += _difference(item["image1"], item["image2"], sign * item["flow"], item["valid"])
    # Brightness constancy: I_2(x + u) = I_1(x) holds for the right flow alone (Horn and Schunck 1981).
    best = min(error, key=lambda name: error[name])
    figures = ", ".join(f"{name} {value:.1f}" for name, value in error.items())
    require(best == "as given", f"Mean differences: {figures}. Is it backward, swapped or scaled?")


def _difference(image1: Tensor, image2: Tensor, flow: Tensor, valid: Tensor) -> float:
    """Return the mean absolute difference of image 1 and image 2 sampled along a flow, inside image 2."""
    height, width = valid.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([columns, rows], -1) + flow.permute(1, 2, 0)
    grid = (2 * places + 1) / torch.tensor([width, height]) - 1
    moved = torch.nn.functional.grid_sample(image2[None].float(), grid[None].float(), align_corners=False)[0]
    inside = valid & (grid.abs() < 1).all(-1)
    gap = (moved - image1.float()).abs().mean(0)
    return float(gap[inside].mean()) if inside.any() else float("inf")


CHECKS: tuple[Check, ...] = (splits_are_listed, items_are_consistent, flow_leads_forward)
