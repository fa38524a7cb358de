"""Rendered scenes with exact flow: workers draw their numbers, pictures are computed on the device."""

from typing import ClassVar, cast

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from datamodules.sampling import EpochLoader, loader_once, placement, training_loader
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.data.phases import Held, Phase, SceneBatches, SceneNumbers, alone, render_batch
from sevenfold.flow.synthetic import scene_bank
from sevenfold.ranges import Count, DepthOrNone, Seed

PHASES = [Phase()]


class RenderedScenes(pl.LightningDataModule):
    """Train on scenes whose size and motion change by phases, evaluate on scenes of other textures.

    Args:
        seed: of textures, outlines and all scenes, those of the evaluation sets included.
        phases: of the training, in order; their shares divide its steps.
        epoch_batches: batches of an epoch, after which Lightning validates and saves; all of them are new.
        workers: processes that draw the scenes' numbers.
        evaluation: the validation and test sets.
    """

    batch: ClassVar[type] = FlowBatch

    def __init__(
        self,
        *,
        seed: Seed = 0,
        phases: list[Phase] = PHASES,
        epoch_batches: Count = 500,
        workers: DepthOrNone = 0,
        evaluation: Held = Held(),
    ) -> None:
        super().__init__()
        self.seed, self.phases, self.epoch_batches = seed, phases, epoch_batches
        self.workers, self.evaluation = workers, evaluation

    def setup(self, stage: str) -> None:
        """Make the textures, or read them from the cache."""
        self.bank = scene_bank(self.seed, "train" if stage == "fit" else "held out")

    def train_dataloader(self) -> EpochLoader:
        """Load ``epoch_batches`` new batches in every epoch."""
        trainer = self.trainer
        epochs, limit = (1, -1) if trainer is None else (trainer.max_epochs or 1, trainer.max_steps)
        data = SceneBatches(
            scene_bank(self.seed, "train"),
            self.phases,
            split="train",
            steps=limit if limit > 0 else epochs * self.epoch_batches,
            epoch_batches=self.epoch_batches,
            seed=self.seed,
            world=placement(self)["world_size"],
        )
        return training_loader(data, self, seed=self.seed, workers=self.workers, shuffle=False, collate=alone)

    def val_dataloader(self) -> DataLoader:
        """Load the validation pairs."""
        return self._held_out("val", self.evaluation.val_pairs)

    def test_dataloader(self) -> DataLoader:
        """Load the test pairs."""
        return self._held_out("test", self.evaluation.test_pairs)

    predict_dataloader = test_dataloader

    def on_after_batch_transfer(self, batch: object, dataloader_idx: int) -> FlowBatch:
        """Render a batch where its numbers are."""
        numbers = cast(SceneNumbers, batch)
        self.bank = self.bank.to(numbers["numbers"]["center"].device)
        training = self.trainer is not None and self.trainer.training
        return render_batch(numbers, self.bank, occlusion=not training)

    def _held_out(self, split: str, count: int) -> DataLoader:
        data = self.evaluation.batches(split, count, self.seed)
        return loader_once(data, self, self.workers, alone)
