"""Synthetic pairs with exact flow: endless training data, and fixed sets to evaluate on."""

from typing import Annotated, ClassVar

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from datamodules.sampling import EpochLoader, loader_once, training_loader
from sevenfold.config import ConfigError
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.data.scenes import HELD_OUT, Evaluation, SceneDataset
from sevenfold.flow.synthetic import DEFAULT_MOTION, MotionOptions, texture_bank
from sevenfold.ranges import LARGEST, Count, DepthOrNone, Range, Seed


class SyntheticFlow(pl.LightningDataModule):
    """Train and evaluate on procedural scenes, made item by item; nothing is read or written.

    Args:
        seed: of all scenes, those of the evaluation sets included.
        crop: side of training pairs in px.
        train_pairs: pairs of an epoch; every epoch has new ones.
        batch_size: training pairs that go to each device at a time; evaluation takes one pair at a time.
        workers: processes that draw scenes; 0 draws in the main process.
        motion: how far things move between two frames.
        evaluation: the validation and test sets.
    """

    batch: ClassVar[type] = FlowBatch

    def __init__(
        self,
        *,
        seed: Seed = 0,
        crop: Annotated[int, Range(16, LARGEST)] = 96,
        train_pairs: Count = 2000,
        batch_size: Count = 2,
        workers: DepthOrNone = 0,
        motion: MotionOptions = DEFAULT_MOTION,
        evaluation: Evaluation = Evaluation(),
    ) -> None:
        super().__init__()
        if train_pairs < batch_size:
            raise ConfigError("train_pairs", f"must be at least batch_size ({batch_size}), got {train_pairs}")
        self.seed, self.crop, self.train_pairs = seed, crop, train_pairs
        self.batch_size, self.workers = batch_size, workers
        self.motion, self.evaluation = motion, evaluation

    def setup(self, stage: str) -> None:
        """Make the textures (a few seconds, once per process)."""
        texture_bank(self.seed)

    def train_dataloader(self) -> EpochLoader:
        """Load ``train_pairs`` new pairs of ``crop`` px in every epoch."""
        bank = texture_bank(self.seed)[HELD_OUT:]
        data = SceneDataset(
            bank, split="train", size=self.crop, count=self.train_pairs, seed=self.seed, motion=self.motion
        )
        return training_loader(data, self, seed=self.seed, workers=self.workers, batch_size=self.batch_size)

    def val_dataloader(self) -> DataLoader:
        """Load the validation pairs."""
        return self._evaluation_loader("val", self.evaluation.val_pairs)

    def test_dataloader(self) -> DataLoader:
        """Load the test pairs."""
        return self._evaluation_loader("test", self.evaluation.test_pairs)

    predict_dataloader = test_dataloader

    def _evaluation_loader(self, split: str, count: int) -> DataLoader:
        data = self.evaluation.scenes(split, count, seed=self.seed, motion=self.motion)
        return loader_once(data, self, self.workers)
