"""Real image pairs from a folder, for evaluation and prediction.

An item of any flow data set here is a dictionary: ``image1``, ``image2`` float32 RGB (3, H, W) in [0, 1];
``flow`` float32 (2, H, W) in px, zero where unknown; ``valid`` bool (H, W), False everywhere if there is no
ground truth; ``name``, unique in the set; ``dataset``; and ``padding``, the rule ("sintel" or "kitti") of
its benchmark.
"""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.flow.layouts import Pair, find_pairs
from datamodules.sampling import every_item_once, placement
from sevenfold.errors import InputError
from sevenfold.flow.formats import read_flow, read_image
from sevenfold.ranges import DepthOrNone


class PairDataset(Dataset):
    """The given pairs, read when asked for; sizes are checked."""

    def __init__(self, pairs: list[Pair]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
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
    if flow.shape[1:] != image.shape[1:]:
        raise InputError(
            f"{pair.name}: the flow in {pair.truth} is {_size(flow)}, the pictures are {_size(image)}"
        )
    valid &= (flow.abs() < pair.limit).all(dim=0)
    return torch.where(valid, flow, 0.0), valid


def _size(field: Tensor) -> str:
    return f"{field.shape[-1]}x{field.shape[-2]}"


class FlowPairs(pl.LightningDataModule):
    """Evaluate and predict on every image pair below a folder, one pair at a time.

    ``root``: any folder; Middlebury, FlyingChairs, KITTI 2015, Sintel and plain video frames are recognized
    by their file names (torchvision's data sets read the same files but want each tree, and a split list,
    exactly in its place). ``workers``: processes that read files. Validation and test use the pairs with
    ground truth, prediction uses all. There is nothing to train on.
    """

    def __init__(self, *, root: str = "data", workers: DepthOrNone = 0) -> None:
        super().__init__()
        self.root, self.workers = root, workers
        self.pairs: list[Pair] = []

    def setup(self, stage: str) -> None:
        """Find the pairs; ``stage`` other than "predict" needs some with ground truth."""
        self.pairs = find_pairs(self.root)
        if stage != "predict" and not self._with_truth():
            raise InputError(
                f"{self.root}: {len(self.pairs)} image pairs but no ground truth beside them; "
                "add the flow files, or predict instead of evaluating"
            )

    def val_dataloader(self) -> DataLoader:
        """Load the pairs that have ground truth."""
        return self._loader(self._with_truth())

    def test_dataloader(self) -> DataLoader:
        """Load the pairs that have ground truth."""
        return self._loader(self._with_truth())

    def predict_dataloader(self) -> DataLoader:
        """Load every pair."""
        return self._loader(self.pairs)

    def _with_truth(self) -> list[Pair]:
        return [pair for pair in self.pairs if pair.truth is not None]

    def _loader(self, pairs: list[Pair]) -> DataLoader:
        dataset = PairDataset(pairs)
        sampler = every_item_once(dataset, **placement(self))
        return DataLoader(dataset, batch_size=1, sampler=sampler, num_workers=self.workers)
