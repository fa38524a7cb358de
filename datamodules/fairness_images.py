"""Images with a label and a protected attribute for base classifiers."""

from typing import ClassVar

from torch.utils.data import DataLoader, Subset

from datamodules.facts import WithFacts
from datamodules.sampling import EpochLoader, EpochSampler, WithoutEpoch, placement
from sevenfold.config import ConfigError
from sevenfold.fairness.batch import AttributeBatch, InputFacts
from sevenfold.fairness.data.images import AttributeFolder, Shapes
from sevenfold.fairness.data.table import split_rows
from sevenfold.ranges import Count, DepthOrNone, OpenShare, Seed, Size


class AttributeImages(WithFacts[InputFacts]):
    """Batches of images, labels and groups.

    Args:
        root: a folder of images; null draws shapes instead.
        table: a CSV file with columns ``image``, ``label`` and ``protected``.
        label, protected: those columns' names.
        size: pixels on a side.
        split: shares of train, validation and test.
        batch_size, workers: of loading.
        seed_data: of split and order.
        shapes: how many are drawn.
    """

    batch: ClassVar[type] = AttributeBatch

    def __init__(
        self,
        *,
        root: str | None = None,
        table: str = "attributes.csv",
        label: str = "label",
        protected: str = "protected",
        size: Size = 32,
        split: tuple[OpenShare, OpenShare, OpenShare] = (0.6, 0.2, 0.2),
        batch_size: Count = 32,
        workers: DepthOrNone = 0,
        seed_data: Seed = 0,
        shapes: Count = 600,
    ) -> None:
        super().__init__()
        if abs(sum(split) - 1) > 1e-9:
            raise ConfigError("split", f"must be three shares that add up to 1, got {list(split)}")
        images: Shapes | AttributeFolder = (
            Shapes(shapes, size=size, seed=seed_data)
            if root is None
            else AttributeFolder(root, table, label, protected, size=size)
        )
        self.parts = [Subset(images, rows.tolist()) for rows in split_rows(len(images), seed_data, split)]
        self.batch_size, self.workers = batch_size, workers
        self.seed = seed_data

    def facts(self) -> InputFacts:
        """Return one image."""
        return InputFacts(self.parts[0][0].x)

    def train_dataloader(self) -> EpochLoader:
        """Load shuffled batches; the order depends on seed and epoch alone."""
        data = WithoutEpoch(self.parts[0])
        sampler = EpochSampler(data, seed=self.seed, **placement(self))
        return EpochLoader(data, self.batch_size, sampler=sampler, drop_last=True, num_workers=self.workers)

    def val_dataloader(self) -> DataLoader:
        """Load the validation images."""
        return DataLoader(self.parts[1], self.batch_size, num_workers=self.workers)

    def test_dataloader(self) -> DataLoader:
        """Load the test images."""
        return DataLoader(self.parts[2], self.batch_size, num_workers=self.workers)
