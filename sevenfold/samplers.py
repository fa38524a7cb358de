"""Samplers and loaders under which a training does not depend on having been resumed."""

from collections.abc import Hashable, Iterator, Sequence, Sized
from itertools import islice
from typing import cast

import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from sevenfold.seeding import stream_seed


class EpochSampler(DistributedSampler):
    """Shuffle from (seed, epoch) and hand the epoch on: yields pairs ``(epoch, index)``.

    A data set that gets ``dataset[epoch, index]`` can then draw its augmentation from (seed, epoch, index),
    whatever the worker, rank or batch, and a resumed run equals the uninterrupted one exactly.
    Lightning sets the epoch and, as this is a ``DistributedSampler``, does not replace it. Ranks get
    equally many items: as usual in training, some items are repeated if the number of ranks does not divide
    the number of items.
    """

    def __init__(
        self, dataset: Sized, *, seed: int, rank: int = 0, world_size: int = 1, shuffle: bool = True
    ) -> None:
        super().__init__(
            cast(Dataset, dataset),
            num_replicas=world_size,
            rank=rank,
            shuffle=shuffle,
            seed=stream_seed(seed, "order"),
        )

        self.skip = 0  # items that a resumed epoch has had already

    def __iter__(self) -> Iterator[tuple[int, int]]:
        skip, self.skip = self.skip, 0
        return ((self.epoch, index) for index in islice(super().__iter__(), skip, None))


class EpochLoader(DataLoader):
    """Batches in the order of an :class:`EpochSampler`, with a position in the epoch that checkpoints store.

    Lightning saves and restores it, so that a run that was interrupted in the middle of an epoch continues
    with the very next batch. Iteration starts with the first batch: only then is the epoch known.
    """

    position = 0
    _begun: int | None = None  # the epoch that ``position`` belongs to
    _resume: dict[str, int] | None = None

    def __iter__(self) -> Iterator[object]:  # type: ignore[override]
        resume, self._resume = self._resume, None
        sampler = cast(EpochSampler, self.sampler)
        self._begun = sampler.epoch
        self.position = resume["position"] if resume and resume["epoch"] == sampler.epoch else 0
        sampler.skip = self.position * (self.batch_size or 1)
        random = torch.get_rng_state()
        batches = super().__iter__()
        if self.position:  # PyTorch draws a number for each iterator; this epoch's has been drawn
            torch.set_rng_state(random)
        for batch in batches:
            self.position += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and how many of its batches were handed out, in earlier runs included."""
        if self._resume is not None:
            return dict(self._resume)
        epoch = cast(EpochSampler, self.sampler).epoch
        return {"epoch": epoch, "position": self.position if self._begun == epoch else 0}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Leave those batches out when the same epoch begins."""
        self._resume = dict(state)


class WithoutEpoch(Dataset):
    """A data set whose items do not depend on the epoch, behind an ``EpochSampler``."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(cast(Sized, self.dataset))

    def __getitem__(self, place: tuple[int, int]) -> object:
        return self.dataset[place[1]]

    def __getitems__(self, places: Sequence[tuple[int, int]]) -> object:
        """Return a batch: at once from a data set that can, otherwise a list of its items."""
        indices = [index for _, index in places]
        at_once = getattr(self.dataset, "__getitems__", None)
        return at_once(indices) if at_once else [self.dataset[index] for index in indices]


class WholeGroups(DistributedSampler):
    """Deal whole groups of consecutive items, in order, to the ranks: a video's frames must stay together.

    ``groups`` names the group of each item. The longest groups are dealt first, each to the rank with the
    fewest items. A rank that would get nothing takes the shortest group once more, for others would wait for
    it forever.
    """

    def __init__(self, groups: Sequence[Hashable], *, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(cast(Dataset, groups), num_replicas=world_size, rank=rank, shuffle=False)
        members: dict[Hashable, list[int]] = {}
        for index, group in enumerate(groups):
            members.setdefault(group, []).append(index)
        dealt: list[list[list[int]]] = [[] for _ in range(world_size)]
        by_length = sorted(members.values(), key=len, reverse=True)
        for indices in by_length:
            min(dealt, key=lambda share: sum(map(len, share))).append(indices)
        mine = dealt[rank] or by_length[-1:]
        self.indices = [index for indices in sorted(mine) for index in indices]

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
