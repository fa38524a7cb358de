"""Pairs of picture files as a data set."""

import torch
from torch import Tensor
from torch.utils.data import Dataset

from sevenfold.errors import InputError
from sevenfold.flow.batch import FlowItem
from sevenfold.flow.data.layouts import Pair
from sevenfold.flow.formats import read_flow, read_image


class PairDataset(Dataset[FlowItem]):
    """A data set of pairs of files, read item by item; sizes are checked."""

    def __init__(self, pairs: list[Pair]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> FlowItem:
        pair = self.pairs[index]
        image1, image2 = read_image(pair.image1), read_image(pair.image2)
        if image1.shape != image2.shape:
            raise InputError(
                f"{pair.name}: the pictures differ in size, {_size(image1)} in {pair.image1} "
                f"and {_size(image2)} in {pair.image2}"
            )
        flow, valid = _truth(pair, image1)
        return {
            "image1": image1,
            "image2": image2,
            "flow": flow,
            "valid": valid,
            "name": pair.name,
            "dataset": pair.dataset,
            "padding": pair.padding,
        }


def _truth(pair: Pair, image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pair's flow and validity; none of it is valid where there is no ground truth."""
    if pair.truth is None:
        return torch.zeros(2, *image.shape[1:]), torch.zeros(image.shape[1:], dtype=torch.bool)
    flow, valid = read_flow(pair.truth)
    if pair.truth.suffix == ".flo5" and flow.shape[1:] == tuple(2 * side for side in image.shape[1:]):
        flow, valid = flow[:, ::2, ::2], valid[::2, ::2]  # Spring: twice the resolution, px of the picture
    if flow.shape[1:] != image.shape[1:]:
        raise InputError(
            f"{pair.name}: the flow in {pair.truth} is {_size(flow)}, the pictures are {_size(image)}"
        )
    flow = flow * pair.scale if pair.scale != 1 else flow
    valid = valid & (flow.abs() < pair.limit).all(dim=0)
    if pair.valid is not None:
        mask = read_image(pair.valid)[0] > 0
        if mask.shape != valid.shape:
            raise InputError(f"{pair.name}: the mask {pair.valid} has not the size of its pictures")
        valid = valid & mask
    return torch.where(valid, flow, 0.0), valid


def _size(field: Tensor) -> str:
    return f"{field.shape[-1]}x{field.shape[-2]}"
