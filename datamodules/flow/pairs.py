"""Real image pairs from a folder, for evaluation and prediction."""

from typing import ClassVar

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from datamodules.sampling import loader_once
from sevenfold.errors import InputError
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.data.layouts import Pair, find_pairs
from sevenfold.flow.data.pairs import PairDataset
from sevenfold.ranges import DepthOrNone


class FlowPairs(pl.LightningDataModule):
    """Evaluate and predict on every image pair below a folder, one pair at a time.

    Middlebury, FlyingChairs, KITTI 2015, Sintel and plain video frames are recognized by their file names
    (torchvision's data sets read the same files but want each tree, and a split list, exactly in its place).
    Validation and test use the pairs with ground truth, prediction uses all. There is nothing to train on.

    Args:
        root: any folder with pairs in it, at any depth.
        workers: processes that read files; 0 reads in the main process.
    """

    batch: ClassVar[type] = FlowBatch

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

    test_dataloader = val_dataloader

    def predict_dataloader(self) -> DataLoader:
        """Load every pair."""
        return self._loader(self.pairs)

    def _with_truth(self) -> list[Pair]:
        return [pair for pair in self.pairs if pair.truth is not None]

    def _loader(self, pairs: list[Pair]) -> DataLoader:
        return loader_once(PairDataset(pairs), self, self.workers)
