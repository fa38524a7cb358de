"""Rendered scenes as a data set of whole batches, whose size and motion change during a training."""

from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset, default_collate

from sevenfold.config import ConfigError
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.padding import PaddingRule
from sevenfold.flow.synthetic import FIRST_EDITION, Bank, Drift, draw_numbers, render, scene_bank
from sevenfold.flow.synthetic.rendered import Numbers
from sevenfold.ranges import LARGEST, Count, PositiveShare, Range, Share

Crop = Annotated[int, Range(16, LARGEST)]


@dataclass(frozen=True)
class Phase:
    """A part of a training on rendered scenes.

    Args:
        share: its part of all steps; shares are divided by their sum.
        crop: height and width of pairs in px.
        batch_size: pairs that go to each device at a time.
        first: share of scenes that move as those of the first phase do.
        motion: how far things move between two frames.
    """

    share: PositiveShare = 1.0
    crop: tuple[Crop, Crop] = (96, 96)
    batch_size: Count = 4
    first: Share = 0.0
    motion: Drift = FIRST_EDITION


@dataclass(frozen=True)
class Held:
    """The validation and test sets of rendered scenes, with textures that training never sees.

    Args:
        size: side of the pairs in px.
        val_pairs: pairs of the validation set.
        test_pairs: pairs of the test set.
        motion: how far things move between two frames.
    """

    size: Crop = 320
    val_pairs: Count = 32
    test_pairs: Count = 32
    motion: Drift = Drift(speed=6.0)

    def batches(self, split: str, count: int, seed: int) -> "SceneBatches":
        """Return one of the sets: ``count`` batches of one pair."""
        phase = Phase(crop=(self.size, self.size), batch_size=1, motion=self.motion)
        bank = scene_bank(seed, "held out")
        return SceneBatches(bank, [phase], split=split, steps=count, epoch_batches=count, seed=seed)


class SceneNumbers(TypedDict):
    """A batch of B scenes before it is rendered: their ``numbers`` with a first axis B, and texts."""

    numbers: Numbers
    name: list[str]
    dataset: list[str]
    padding: list[PaddingRule]


class SceneBatches(Dataset[SceneNumbers]):
    """Batches of numbers of scenes; batch ``(epoch, index)`` depends on these two and the seed alone.

    ``phases`` divide ``steps``; what comes after them belongs to the last. A batch has ``numbers``
    (:func:`sevenfold.flow.synthetic.draw_numbers`, with a first axis), and ``name``, ``dataset`` and
    ``padding`` of each pair. With ``world`` processes a step has as many batches in a row.
    """

    def __init__(
        self,
        bank: Bank,
        phases: list[Phase],
        *,
        split: str,
        steps: int,
        epoch_batches: int,
        seed: int,
        world: int = 1,
    ) -> None:
        if not phases:
            raise ConfigError("phases", "needs at least one phase")
        self.bank, self.phases, self.split, self.seed = bank, phases, split, seed
        self.epoch_batches, self.world = epoch_batches * world, world
        # Ends of the phases in steps.
        shares = np.array(list(accumulate(phase.share for phase in phases)))
        self.ends = shares / shares[-1] * steps

    def __len__(self) -> int:
        return self.epoch_batches

    def phase_of(self, step: int) -> Phase:
        """Return the phase that a step belongs to."""
        number = int(np.searchsorted(self.ends, step, side="right"))
        return self.phases[min(number, len(self.phases) - 1)]

    def __getitem__(self, key: int | tuple[int, int]) -> SceneNumbers:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = epoch * len(self) + index
        phase = self.phase_of(number // self.world)
        names = [("rendered", self.split, number, pair) for pair in range(phase.batch_size)]
        scenes = []
        for pair, name in enumerate(names):
            # Evenly over a run of batches, so that batches of one pair have their part too.
            count = number * phase.batch_size + pair
            early = int((count + 1) * phase.first) > int(count * phase.first)
            drift = self.phases[0].motion if early else phase.motion
            scenes.append(draw_numbers(self.bank, *phase.crop, self.seed, *name, drift=drift))
        return {
            "numbers": default_collate(scenes),
            "name": ["/".join(map(str, name)) for name in names],
            "dataset": ["synthetic"] * len(names),
            "padding": ["sintel"] * len(names),
        }


@torch.no_grad()
def render_batch(batch: SceneNumbers, bank: Bank, *, occlusion: bool = True) -> FlowBatch:
    """Return a batch of :class:`SceneBatches`, which is on its device, as pictures and flow."""
    rendered = render(batch["numbers"], bank, occlusion=occlusion)
    whole: FlowBatch = {
        "image1": rendered.image1,
        "image2": rendered.image2,
        "flow": rendered.flow,
        "valid": rendered.valid,
        "name": batch["name"],
        "dataset": batch["dataset"],
        "padding": batch["padding"],
    }
    return whole if rendered.occluded is None else {**whole, "occluded": rendered.occluded}


def alone(batches: list[SceneNumbers]) -> SceneNumbers:
    """Return the only element of a list: what a loader makes of an item that is a batch already."""
    (batch,) = batches
    return batch
