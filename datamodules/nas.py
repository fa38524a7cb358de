"""Items of architecture search that are computed by ``predict``."""

from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from datamodules.sampling import every_item_once, placement
from sevenfold.config import ConfigError, build
from sevenfold.nas.benchmarks import BENCHMARKS
from sevenfold.nas.digits.build import Build
from sevenfold.nas.digits.training import Recipe


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


class Benchmarks(Items):
    """One benchmark of ``sevenfold.nas.benchmarks``, whole, to be described.

    ``benchmark``: its name and options.
    """

    def __init__(self, *, benchmark: dict[str, Any] = {"name": "digits-nb201"}) -> None:  # noqa: B006
        super().__init__()
        self.items = [build(BENCHMARKS, benchmark, "benchmark")]


class DigitsShards(Items):
    """The shards of the benchmark ``digits-nb201`` that are still to be trained.

    Args:
        root: folder with ``digits_nb201/``, where shards and the finished table are. Shards found there are
            done, whatever run they come from; one with other options is an error.
        seeds: trainings of each class.
        block: classes in a shard; results do not depend on it beyond rounding.
        classes: how many of the 5,425 classes to build; None is all.
        recipe: how each network is trained.
    """

    def __init__(
        self,
        *,
        root: str = "data",
        seeds: int = 3,
        block: int = 128,
        classes: int | None = None,
        recipe: Recipe = Recipe(),
    ) -> None:
        super().__init__()
        for name, value in {"seeds": seeds, "block": block, "classes": classes}.items():
            if value is not None and value < 1:
                raise ConfigError(name, f"is {value}; expected at least 1")
        self.build = Build(Path(root) / "digits_nb201", recipe, seeds=seeds, block=block, classes=classes)

    def setup(self, stage: str) -> None:
        """Find what is still to do; when nothing is, the table is written anew."""
        missing = self.build.missing()
        for shard in self.build.shards:
            if shard not in missing:
                self.build.read(shard)
        self.items = [(self.build, shard) for shard in missing or [None]]
