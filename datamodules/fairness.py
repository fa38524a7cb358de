"""Rows of a table of people, to train a base network on."""

from typing import ClassVar

from torch.utils.data import DataLoader

from datamodules.facts import WithFacts
from datamodules.sampling import EpochLoader, EpochSampler, WithoutEpoch, placement
from sevenfold.config import ConfigError
from sevenfold.fairness.batch import InputFacts, RowBatch, RowDataset
from sevenfold.fairness.data.load import open_source
from sevenfold.fairness.data.table import split_table
from sevenfold.fairness.nodes import SourceNode
from sevenfold.ranges import Count, NonNegativeInt, OpenShare, Seed

SYNTHETIC = {"name": "synthetic"}


class FairnessRows(WithFacts[InputFacts]):
    """Train, validation and test rows of one table; batches are x, y, a.

    Args:
        source: a component of ``sevenfold.fairness.data.SOURCES``.
        root: folder of the published data sets; without it people are synthetic.
        protected: the attribute; ``sex or race`` combines two.
        split: shares of train, validation and test.
        drop_protected: leave the attribute out of the features.
        min_count: one-hot levels rarer than this in train are grouped.
        batch_size: of training.
        seed_data: of split and order.
    """

    batch: ClassVar[type] = RowBatch

    def __init__(
        self,
        *,
        source: SourceNode = SYNTHETIC,
        root: str = "data",
        protected: str = "a",
        split: tuple[OpenShare, OpenShare, OpenShare] = (0.6, 0.2, 0.2),
        drop_protected: bool = False,
        min_count: NonNegativeInt = 0,
        batch_size: Count = 64,
        seed_data: Seed = 0,
    ) -> None:
        super().__init__()
        if abs(sum(split) - 1) > 1e-9:
            raise ConfigError("split", f"must be three shares that add up to 1, got {list(split)}")
        self.batch_size, self.seed = batch_size, seed_data
        table, protected = open_source(source, root, protected)
        self.split = split_table(
            table, protected, seed_data, shares=split, drop_protected=drop_protected, min_count=min_count
        )

    def facts(self) -> InputFacts:
        """Return one row of features."""
        return InputFacts(self.split.train.x[0])

    def train_dataloader(self) -> EpochLoader:
        """Load shuffled batches; the order depends on seed and epoch alone."""
        data = WithoutEpoch(RowDataset(self.split.train))
        sampler = EpochSampler(data, seed=self.seed, **placement(self))
        return EpochLoader(data, batch_size=self.batch_size, sampler=sampler, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        """Load the validation rows."""
        return DataLoader(RowDataset(self.split.val), batch_size=4096)

    def test_dataloader(self) -> DataLoader:
        """Load the test rows."""
        return DataLoader(RowDataset(self.split.test), batch_size=4096)
