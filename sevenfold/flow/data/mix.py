"""Training data of several sets: in which order their pairs come, how often each, how they are augmented."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from sevenfold.flow.augment import Augmentation
from sevenfold.flow.batch import FlowItem
from sevenfold.flow.data.layouts import Pair
from sevenfold.flow.data.pairs import PairDataset
from sevenfold.flow.sample import Sample
from sevenfold.seeding import torch_generator

Part = tuple[list[Pair], int, Augmentation]
"""Pairs, the copies of each, and how they are augmented."""
GOLDEN, BLOCK = (5**0.5 - 1) / 2, 1 << 16


class Endless(Protocol):
    """Items by a number from 0, without end; ``supervised``: whether a training is to use their truth."""

    supervised: bool

    def item(self, number: int) -> FlowItem:
        """Return the item of a number, which depends on that and a seed alone."""


class Pool:
    """Augmented pairs that run through all copies again and again, each time in another order.

    ``parts`` are lists of pairs with the copies of each and their augmentation. ``label`` separates the
    random streams of several pools.
    """

    def __init__(
        self, parts: list[Part], *, seed: int, label: tuple[str, ...] = (), supervised: bool = True
    ) -> None:
        self.parts = [(PairDataset(pairs), rules) for pairs, _, rules in parts]
        self.ends = list(accumulate(copies * len(pairs) for pairs, copies, _ in parts))
        self.seed, self.label, self.supervised = seed, label, supervised

    def item(self, number: int) -> FlowItem:
        """Return an augmented pair."""
        passed, position = divmod(number, self.ends[-1])
        chosen = int(_order(self.seed, (*self.label, passed), self.ends[-1])[position])
        part, index = self.place(chosen)
        pairs, rules = self.parts[part]
        item = pairs[index]
        stream = torch_generator(self.seed, "augmentation", *self.label, passed, chosen)
        sample = rules(Sample(item["image1"], item["image2"], item["flow"], item["valid"]), stream)
        return {
            **item, "image1": sample.image1, "image2": sample.image2, "flow": sample.flow,
            "valid": sample.valid,
        }  # fmt: skip

    def place(self, copy: int) -> tuple[int, int]:
        """Return the part, and the index of the pair in it, of one of all the copies."""
        part = bisect_right(self.ends, copy)
        before = self.ends[part - 1] if part else 0
        return part, (copy - before) % len(self.parts[part][0])


class Mix(Dataset):
    """Items of several pools in given shares, cut into epochs of ``epoch_items`` items.

    Item ``(epoch, index)`` depends on these two numbers and the seed alone. ``pools`` are pairs of a weight
    and a pool; weights are divided by their sum.
    """

    def __init__(self, pools: Sequence[tuple[float, Endless]], *, epoch_items: int) -> None:
        self.pools, self.epoch_items = [pool for _, pool in pools], epoch_items
        self.flagged = not all(pool.supervised for pool in self.pools)
        self.turns = Turns([weight for weight, _ in pools])

    def __len__(self) -> int:
        return self.epoch_items

    def __getitem__(self, key: tuple[int, int]) -> FlowItem:
        epoch, index = key
        which, number = self.turns.at(epoch * self.epoch_items + index)
        pool = self.pools[which]
        item = pool.item(number)
        # A key of some items alone could not be collated.
        return {**item, "supervised": pool.supervised} if self.flagged else item


class Turns:
    """Whose turn it is, for shares in proportion to weights, evenly over every stretch.

    >>> turns = Turns([3.0, 1.0])
    >>> [turns.at(number) for number in range(5)]
    [(0, 0), (0, 1), (1, 0), (0, 2), (0, 3)]
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self.ends = np.cumsum(weights) / np.sum(weights)
        self._which = np.zeros(0, dtype=np.int64)
        self._rank = np.zeros(0, dtype=np.int64)

    def at(self, number: int) -> tuple[int, int]:
        """Return whose turn a number is, and how many turns of theirs came before."""
        while number >= len(self._which):
            self._extend()
        return int(self._which[number]), int(self._rank[number])

    def _extend(self) -> None:
        start = len(self._which)
        # Multiples of the golden ratio modulo 1 fill [0, 1) evenly over every stretch (Weyl 1916).
        places = (GOLDEN * np.arange(start + 1, start + 1 + BLOCK)) % 1.0
        which = np.searchsorted(self.ends[:-1], places, side="right")
        rank = np.empty_like(which)
        for each in range(len(self.ends)):
            mine = which == each
            rank[mine] = int((self._which == each).sum()) + np.arange(int(mine.sum()))
        self._which, self._rank = np.concatenate([self._which, which]), np.concatenate([self._rank, rank])


@lru_cache(maxsize=8)
def _order(seed: int, label: tuple[str | int, ...], count: int) -> torch.Tensor:
    """Return the order of one pass through ``count`` items."""
    return torch.randperm(count, generator=torch_generator(seed, "mix", *label))
