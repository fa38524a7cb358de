"""Items of architecture search that are computed by ``predict``."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from datamodules.sampling import every_item_once, placement


class Items(pl.LightningDataModule):
    """Items that are handed on one at a time, as they are."""

    items: Sequence[Any] = ()

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        """Hand an item on as it is: it holds nothing to move."""
        return batch

    def predict_dataloader(self) -> DataLoader:
        """Deal the items to the devices, one at a time."""
        sampler = every_item_once(self.items, **placement(self))
        return DataLoader(self.items, batch_size=1, sampler=sampler, collate_fn=itemgetter(0))
