"""Samplers under which a run does not depend on the number of devices or on having been resumed."""

from collections.abc import Callable, Sized
from typing import TypedDict, cast

import pytorch_lightning as pl
from pytorch_lightning.overrides.distributed import UnrepeatedDistributedSampler
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from sevenfold.errors import InputError
from sevenfold.samplers import EpochLoader, EpochSampler, WholeGroups, WithoutEpoch

__all__ = [
    "EpochLoader",
    "EpochSampler",
    "WholeGroups",
    "WithoutEpoch",
    "every_item_once",
    "loader_once",
    "placement",
    "training_loader",
]


class Placement(TypedDict):
    """Which of how many processes this is."""

    rank: int
    world_size: int


def every_item_once(dataset: Sized, *, rank: int = 0, world_size: int = 1) -> DistributedSampler:
    """Return a sampler that deals the items to the ranks in order and repeats none, so that sums are exact.

    Some ranks may get one item fewer, so evaluation steps must not synchronize one by one. Raises
    ``InputError`` if there are fewer items than ranks: the idle ones would wait forever.
    """
    if len(dataset) < world_size:
        raise InputError(f"{len(dataset)} items cannot be shared by {world_size} devices; use fewer devices")
    return UnrepeatedDistributedSampler(dataset, num_replicas=world_size, rank=rank, shuffle=False)


def placement(module: pl.LightningDataModule) -> Placement:
    """Return this process's ``rank`` and the ``world_size``; a data module without a trainer is alone."""
    if module.trainer is None:
        return {"rank": 0, "world_size": 1}
    return {"rank": module.trainer.global_rank, "world_size": module.trainer.world_size}


def training_loader(
    data: Dataset,
    module: pl.LightningDataModule,
    *,
    seed: int,
    workers: int,
    batch_size: int = 1,
    shuffle: bool = True,
    collate: Callable[[list], object] | None = None,
) -> EpochLoader:
    """Return the loader of a training on ``data[epoch, index]`` for this process, whole batches alone."""
    sampler = EpochSampler(cast(Sized, data), seed=seed, shuffle=shuffle, **placement(module))
    return EpochLoader(
        data,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=collate,
    )


def loader_once(
    data: Dataset,
    module: pl.LightningDataModule,
    workers: int,
    collate: Callable[[list], object] | None = None,
) -> DataLoader:
    """Return the loader of an evaluation: this process's part of the items, each once and alone, in order."""
    sampler = every_item_once(cast(Sized, data), **placement(module))
    return DataLoader(
        data,
        batch_size=1,
        sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=workers > 0,
    )
