"""Images for the training of a denoiser."""

from typing import ClassVar

import torch
from torch.utils.data import DataLoader

from datamodules.facts import WithFacts
from datamodules.sampling import EpochLoader, EpochSampler, WithoutEpoch, placement
from sevenfold.config import ConfigError, build
from sevenfold.diffreps import SOURCES
from sevenfold.diffreps.batch import ImageBatch, ImageDataset, whole
from sevenfold.diffreps.nodes import ImagesNode
from sevenfold.diffreps.sources import Images
from sevenfold.ranges import Count, Seed
from sevenfold.seeding import torch_generator

DIGITS = {"name": "digits", "size": 8}


class DenoiserImages(WithFacts[Images]):
    """Batches of images and labels of a component of ``SOURCES``.

    Args:
        source: its name and options.
        held_out: number of images for validation and test.
        batch_size: of training.
        seed_data: of split and order.
    """

    batch: ClassVar[type] = ImageBatch

    def __init__(
        self,
        *,
        source: ImagesNode = DIGITS,
        held_out: Count = 297,
        batch_size: Count = 96,
        seed_data: Seed = 0,
    ) -> None:
        super().__init__()
        self.real: Images = build(SOURCES, source, "source")
        if not 0 < held_out <= len(self.real.images) - batch_size:
            raise ConfigError(
                "held_out", f"must leave a batch of {len(self.real.images)} images, got {held_out}"
            )
        self.batch_size, self.seed = batch_size, seed_data
        order = torch.randperm(len(self.real.images), generator=torch_generator(seed_data, "denoiser split"))
        self.rest, self.train = order[:held_out], order[held_out:]

    def facts(self) -> Images:
        """Return all images, which determine the shape and range of samples."""
        return self.real

    def train_dataloader(self) -> EpochLoader:
        """Load shuffled batches; the order depends on seed and epoch alone."""
        data = WithoutEpoch(ImageDataset(self.real, self.train))
        sampler = EpochSampler(data, seed=self.seed, **placement(self))
        return EpochLoader(data, self.batch_size, sampler=sampler, drop_last=True, collate_fn=whole)

    def val_dataloader(self) -> DataLoader:
        """Load the held-out images."""
        return DataLoader(ImageDataset(self.real, self.rest), self.batch_size, collate_fn=whole)

    test_dataloader = val_dataloader
