"""Training data of the published stages: which sets, how often each, and how they are augmented."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Literal

import torch
from torch.utils.data import Dataset

from sevenfold.config import locate
from sevenfold.flow.augment import Augmentation
from sevenfold.flow.batch import FlowItem
from sevenfold.flow.data import FLOW_SETS
from sevenfold.flow.data.layouts import Pair
from sevenfold.flow.data.pairs import PairDataset
from sevenfold.flow.sample import Sample
from sevenfold.seeding import torch_generator
from sevenfold.tables import component

Part = tuple[list[Pair], int, Augmentation]
"""Pairs, the copies of each, and how they are augmented."""
Stage = Literal["chairs", "things", "sintel", "kitti"]


@dataclass(frozen=True)
class Portion:
    """A data set's part in a mix: how many copies of each pair, and how they are augmented."""

    dataset: str
    copies: int
    log_scale: tuple[float, float]
    sparse: bool = False
    flip: bool = True


# RAFT's stages (Teed and Deng, ECCV 2020), which its successors share.
STAGES: dict[Stage, tuple[Portion, ...]] = {
    "chairs": (Portion("chairs", 1, (-0.1, 1.0)),),
    "things": (Portion("things_clean", 1, (-0.4, 0.8)), Portion("things_final", 1, (-0.4, 0.8))),
    "sintel": (
        Portion("sintel_clean", 100, (-0.2, 0.6)),
        Portion("sintel_final", 100, (-0.2, 0.6)),
        Portion("kitti", 200, (-0.3, 0.5), sparse=True),
        Portion("hd1k", 5, (-0.5, 0.2), sparse=True),
        Portion("things_clean", 1, (-0.2, 0.6)),
    ),
    "kitti": (Portion("kitti", 1, (-0.2, 0.4), sparse=True, flip=False),),
}

EVALUATED: dict[Stage, list[str]] = {
    "chairs": ["chairs"],
    "things": ["sintel_clean", "sintel_final", "kitti"],
    "sintel": ["sintel_clean", "sintel_final", "kitti"],
    "kitti": ["kitti"],
}
# Sets with a held-out split of their own; of the others, whose test flow is secret, training pairs are used.
HELD_OUT = {"chairs": "val", "things_clean": "test", "things_final": "test"}


def read_evaluated(names: Sequence[str], *, root: str) -> list[Pair]:
    """List the pairs of the named sets below ``root`` on which models are evaluated."""
    return [
        pair
        for name in names
        for pair in component(FLOW_SETS, name, "evaluate_on")(root=root, split=HELD_OUT.get(name, "train"))
    ]


def read_mix(stage: Stage, *, root: str, crop: tuple[int, int], noise: float) -> list[Part]:
    """List a stage's pairs below ``root``, the copies of each and their augmentation."""
    return [
        (
            locate(FLOW_SETS[portion.dataset])(root=root, split="train"),
            portion.copies,
            Augmentation(
                crop=crop,
                log_scale=portion.log_scale,
                sparse=portion.sparse,
                flip_x=0.5 if portion.flip else 0.0,
                flip_y=0.0 if portion.sparse else 0.1,
                noise=noise,
            ),
        )
        for portion in STAGES[stage]
    ]


class Mix(Dataset):
    """Augmented pairs of several sets in random order, cut into epochs of ``epoch_items`` items.

    ``parts`` are lists of pairs with the copies of each and their augmentation. The items of all epochs in a
    row run through all copies again and again, each time in another order. Item ``(epoch, index)`` depends on
    these two numbers and the seed alone.
    """

    def __init__(self, parts: list[Part], *, seed: int, epoch_items: int) -> None:
        self.parts = [(PairDataset(pairs), rules) for pairs, _, rules in parts]
        self.ends = list(accumulate(copies * len(pairs) for pairs, copies, _ in parts))
        self.seed, self.epoch_items = seed, epoch_items

    def __len__(self) -> int:
        return self.epoch_items

    def __getitem__(self, key: tuple[int, int]) -> FlowItem:
        epoch, index = key
        passed, position = divmod(epoch * self.epoch_items + index, self.ends[-1])
        chosen = int(_order(self.seed, passed, self.ends[-1])[position])
        part, index = self.place(chosen)
        pairs, rules = self.parts[part]
        item = pairs[index]
        stream = torch_generator(self.seed, "augmentation", passed, chosen)
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


@lru_cache(maxsize=2)
def _order(seed: int, passed: int, count: int) -> torch.Tensor:
    """Return the order of one pass through ``count`` items."""
    return torch.randperm(count, generator=torch_generator(seed, "mix", passed))
