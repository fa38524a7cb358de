"""Train on a mix of declared sets of pairs: public ones, one's own, and procedural scenes."""

import logging
from typing import ClassVar

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from datamodules.flow.synthetic import SyntheticFlow
from datamodules.sampling import EpochLoader, loader_once, placement, training_loader
from sevenfold.errors import InputError
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.data.declared import Declared, FlowSet
from sevenfold.flow.data.mix import Mix
from sevenfold.flow.data.pairs import PairDataset
from sevenfold.flow.data.scenes import Evaluation
from sevenfold.ranges import Count, DepthOrNone, Seed, Size

logger = logging.getLogger(__name__)


class FlowSets(pl.LightningDataModule):
    """Train on declared sets of pairs in given shares, evaluate on what is held out.

    Args:
        root: the folder below which all files lie.
        sets: by name; each has a weight, or copies of its pairs.
        crop: height and width of training pairs in px.
        batch_size: pairs per device; published numbers are over all devices.
        epoch_batches: batches that make an epoch, after which Lightning validates and saves.
        evaluate_on: names of sets to validate and test on; by default those that hold something out.
        check: look at the pairs before the first epoch, print what they are, and warn of what seems wrong.
        workers: processes that read and augment.
        seed: of the order and the augmentation.

    A dry run (``trainer.fast_dev_run``) without the files takes synthetic pairs and says so.
    """

    batch: ClassVar[type] = FlowBatch

    def __init__(
        self,
        *,
        root: str = "data",
        sets: dict[str, FlowSet] = {},  # noqa: B006 (never changed)
        crop: tuple[Size, Size] = (368, 496),
        batch_size: Count = 6,
        epoch_batches: Count = 5000,
        evaluate_on: list[str] | None = None,
        check: bool = True,
        workers: DepthOrNone = 4,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.declared, self.crop, self.seed = Declared(sets, root, evaluate_on), crop, seed
        self.check = check
        self.batch_size, self.epoch_batches, self.workers = batch_size, epoch_batches, workers
        self.stand_in: SyntheticFlow | None = None

    def setup(self, stage: str) -> None:
        """List the files of what ``stage`` (of Lightning) needs; look at what is to be trained on."""
        try:
            if stage == "fit":
                self.pools = self.declared.pools(self.crop, self.seed)
            self.evaluated = self.declared.evaluated()
        except InputError as error:
            if self.trainer is None or not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
                raise
            logger.warning("%s. This dry run takes synthetic pairs instead.", error)
            one = Evaluation(size=128, val_pairs=1, test_pairs=1)
            self.stand_in = SyntheticFlow(crop=128, batch_size=1, train_pairs=1, evaluation=one)
            self.stand_in.trainer = self.trainer
            self.stand_in.setup(stage)
            return
        if stage == "fit" and self.check and placement(self)["rank"] == 0:
            table, warnings = self.declared.examined()
            print(table)
            for warning in warnings:
                logger.warning("%s", warning)

    def train_dataloader(self) -> EpochLoader:
        """Load ``epoch_batches`` batches of augmented crops for each device."""
        if self.stand_in is not None:
            return self.stand_in.train_dataloader()
        items = self.epoch_batches * self.batch_size * placement(self)["world_size"]
        data, size = Mix(self.pools, epoch_items=items), self.batch_size  # the mix has shuffled
        return training_loader(
            data, self, seed=self.seed, workers=self.workers, batch_size=size, shuffle=False
        )

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """Load every pair of the sets to evaluate on once, in order; nothing where there are none."""
        if self.stand_in is not None:
            return self.stand_in.val_dataloader()
        return loader_once(PairDataset(self.evaluated), self, self.workers) if self.evaluated else []

    test_dataloader = predict_dataloader = val_dataloader
