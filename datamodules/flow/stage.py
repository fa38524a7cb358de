"""The four stages in which optical flow is usually trained: Chairs, Things, the Sintel mix, KITTI."""

import logging
from typing import Annotated, ClassVar

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from datamodules.flow.synthetic import SyntheticFlow
from datamodules.sampling import EpochLoader, loader_once, placement, training_loader
from sevenfold.errors import InputError
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.data import FLOW_SETS
from sevenfold.flow.data.layouts import Pair
from sevenfold.flow.data.mix import EVALUATED, Mix, Part, Stage, read_evaluated, read_mix
from sevenfold.flow.data.pairs import PairDataset
from sevenfold.flow.data.scenes import Evaluation
from sevenfold.ranges import Count, DepthOrNone, Seed, Size
from sevenfold.tables import OneOf, component

logger = logging.getLogger(__name__)


class FlowStage(pl.LightningDataModule):
    """Train on one stage's mix, evaluate as its papers do.

    Args:
        stage: which mix, see ``sevenfold.flow.data.mix``.
        root: the folder that holds the data sets, each laid out as torchvision expects it.
        crop: height and width of training pairs in px.
        batch_size: pairs per device; the published number is over all devices.
        epoch_batches: batches that make an epoch, after which Lightning validates and saves.
        add_noise: add noise of up to 5 gray levels to training frames.
        evaluate_on: sets to validate and test on, by their names in ``FLOW_SETS``; by default Chairs for
            Chairs, Sintel's two passes and KITTI for Things and Sintel, KITTI for KITTI, all of them training
            splits but Chairs.
        workers: processes that read and augment.
        seed: of the order and the augmentation.

    A dry run (``trainer.fast_dev_run``) without the files takes synthetic pairs and says so.
    """

    batch: ClassVar[type] = FlowBatch

    def __init__(
        self,
        *,
        stage: Stage = "chairs",
        root: str = "data",
        crop: tuple[Size, Size] = (368, 496),
        batch_size: Count = 6,
        epoch_batches: Count = 5000,
        add_noise: bool = False,
        evaluate_on: list[Annotated[str, OneOf("sevenfold.flow.data:FLOW_SETS")]] | None = None,
        workers: DepthOrNone = 4,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.evaluate_on = EVALUATED[stage] if evaluate_on is None else evaluate_on
        for name in self.evaluate_on:
            component(FLOW_SETS, name, "evaluate_on")
        self.stage: Stage = stage
        self.root, self.crop, self.seed = root, crop, seed
        self.batch_size, self.epoch_batches, self.workers = batch_size, epoch_batches, workers
        self.noise = 5.0 if add_noise else 0.0
        self.parts: list[Part] = []
        self.evaluated: list[Pair] = []
        self.stand_in: SyntheticFlow | None = None

    def setup(self, stage: str) -> None:
        """List the files of what ``stage`` (of Lightning) needs."""
        try:
            if stage == "fit":
                self.parts = read_mix(self.stage, root=self.root, crop=self.crop, noise=self.noise)
            self.evaluated = read_evaluated(self.evaluate_on, root=self.root)
        except InputError as error:
            if self.trainer is None or not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
                raise
            logger.warning("%s. This dry run takes synthetic pairs instead.", error)
            one = Evaluation(size=128, val_pairs=1, test_pairs=1)
            self.stand_in = SyntheticFlow(crop=128, batch_size=1, train_pairs=1, evaluation=one)
            self.stand_in.trainer = self.trainer
            self.stand_in.setup(stage)

    def train_dataloader(self) -> EpochLoader:
        """Load ``epoch_batches`` batches of augmented crops for each device."""
        if self.stand_in is not None:
            return self.stand_in.train_dataloader()
        place = placement(self)
        items = self.epoch_batches * self.batch_size * place["world_size"]
        data = Mix(self.parts, seed=self.seed, epoch_items=items)
        size = self.batch_size  # the mix has shuffled
        return training_loader(
            data, self, seed=self.seed, workers=self.workers, batch_size=size, shuffle=False
        )

    def val_dataloader(self) -> DataLoader:
        """Load every pair of the sets to evaluate on once, in order."""
        if self.stand_in is not None:
            return self.stand_in.val_dataloader()
        return loader_once(PairDataset(self.evaluated), self, self.workers)

    def test_dataloader(self) -> DataLoader:
        """Load what validation loads."""
        return self.val_dataloader()

    def predict_dataloader(self) -> DataLoader:
        """Load what validation loads."""
        return self.val_dataloader()
