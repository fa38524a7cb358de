"""Synthetic scenes as a data set."""

from dataclasses import dataclass

from torch import Tensor
from torch.utils.data import Dataset

from sevenfold.flow.batch import FlowItem
from sevenfold.flow.synthetic import MotionOptions, draw_scene, texture_bank
from sevenfold.ranges import Count, Size

HELD_OUT = 64  # textures that training never sees


@dataclass(frozen=True)
class Evaluation:
    """The validation and test sets: pairs larger than the training crop.

    A network that has only ever been tried at its training size may fail on any other.

    Args:
        size: side of the pairs in px.
        val_pairs: pairs of the validation set.
        test_pairs: pairs of the test set.
        pairs_per_scene: consecutive pairs of one scene; above 1 each scene is a video.
    """

    size: Size = 128
    val_pairs: Count = 32
    test_pairs: Count = 64
    pairs_per_scene: Count = 1

    def scenes(self, split: str, count: int, *, seed: int, motion: MotionOptions) -> "SceneDataset":
        """Return one of the sets: ``count`` pairs of textures that training never sees."""
        return SceneDataset(
            texture_bank(seed)[:HELD_OUT],
            split=split,
            size=self.size,
            count=count,
            seed=seed,
            motion=motion,
            pairs_per_scene=self.pairs_per_scene,
        )


class SceneDataset(Dataset[FlowItem]):
    """Square pairs of ``size`` px; an item depends on (seed, split, epoch, index) alone.

    Index with ``(epoch, index)``, or with ``index`` for epoch 0. Names are
    "synthetic/<split>/<epoch>/<scene>/<time>".
    """

    def __init__(
        self,
        bank: Tensor,
        *,
        split: str,
        size: int,
        count: int,
        seed: int,
        motion: MotionOptions,
        pairs_per_scene: int = 1,
    ) -> None:
        self.bank, self.split, self.size, self.count = bank, split, size, count
        self.seed, self.motion, self.pairs_per_scene = seed, motion, pairs_per_scene

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: int | tuple[int, int]) -> FlowItem:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < self.count:
            raise IndexError(index)
        number, time = divmod(index, self.pairs_per_scene)
        names = ("synthetic", self.split, epoch, number)
        scene = draw_scene(self.bank, self.size, self.size, self.seed, *names, motion=self.motion)
        image1, image2, flow, valid = scene.pair(time)
        return {
            "image1": image1,
            "image2": image2,
            "flow": flow,
            "valid": valid,
            "name": "/".join(map(str, (*names, time))),
            "dataset": "synthetic",
            "padding": "sintel",
        }
