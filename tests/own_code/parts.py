"""Parts of one's own, as a user would write them: one of each kind, in a package outside the suite."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from sevenfold.deq.base import Solver
from sevenfold.diffreps.representations.base import Layout, Representation
from sevenfold.flow.batch import FlowBatch
from sevenfold.flow.data.layouts import Pair
from sevenfold.flow.formats import write_flow, write_image
from sevenfold.nas.algorithms.base import Algorithm
from sevenfold.nas.spaces.base import Ints
from sevenfold.records import Record
from sevenfold.seeding import torch_generator
from sevenfold.study import Context, Piece, Report, Study


class Damped(Solver):
    """Iterate z <- z + damping (f(z) - z).

    Args:
        damping: above 0, at most 1.
    """

    def __init__(self, *, damping: float = 0.9) -> None:
        self.damping = damping

    def start(self, x: Tensor, max_iter: int) -> None:
        return None

    def step(self, memory: None, x: Tensor, y: Tensor, r: Tensor) -> None:
        x += self.damping * r

    def restart(self, memory: None, rows: Tensor) -> None:
        pass

    def keep(self, memory: None, index: Tensor) -> None:
        pass


class Greedy(Algorithm):
    """Mutate the best architecture so far.

    Args:
        num_init: random evaluations first.
    """

    def __init__(self, space: Any, rng: Any, *, num_init: int = 5) -> None:
        super().__init__(space, rng, num_init=num_init)

    def propose(self, k: int) -> Ints:
        first = self.design(k)
        if first is not None:
            return first
        best = self.archs[self.best(1)[0]][None]
        rows = self.collect(k, lambda n: self.space.mutate(np.repeat(best, n, 0), self.rng))
        return rows if len(rows) == k else self.random(k, rows)


class Plane(Representation):
    """An image whose values are a linear function of the place.

    Args:
        size: side of the image in pixels.
    """

    affine = True

    def __init__(self, *, size: int = 8) -> None:
        super().__init__((1, size, size), Layout({"slope": (2,), "offset": (1,)}))
        side = torch.linspace(-1, 1, size, dtype=torch.float64)
        self.register_buffer("places", torch.stack(torch.meshgrid(side, side, indexing="ij")))

    def initial(self, generator: torch.Generator) -> Tensor:
        return 0.1 * torch.randn(self.layout.size, generator=generator)

    def render(self, params: Tensor, view: Tensor) -> Tensor:
        weights = self.layout.split(params)
        return (weights["slope"][:, None, None] * self.places).sum(0, keepdim=True) + weights["offset"]


def blobs(*, root: str, split: str = "train") -> list[Pair]:
    """Pairs of a soft texture that moves by (3, -2) px, written below the folder of data."""
    folder = Path(root) / "blobs" / split
    folder.mkdir(parents=True, exist_ok=True)
    pairs = []
    for number in range(2):
        stream = torch_generator(0, "blobs", split, number)
        texture = torch.nn.functional.interpolate(
            torch.rand(1, 3, 20, 20, generator=stream), 160, mode="bicubic"
        )
        image = (255 * texture[0].clamp(0, 1)).to(torch.uint8)
        first, second, truth = (folder / f"{number}{end}" for end in ("_1.png", "_2.png", ".flo"))
        write_image(first, image[:, 8:136, 8:136])
        write_image(second, image[:, 10:138, 5:133])
        flow = torch.tensor([3.0, -2.0])[:, None, None].expand(2, 128, 128)
        write_flow(truth, flow, torch.ones(128, 128, dtype=torch.bool))
        pairs.append(Pair(first, second, truth, "blobs", f"blobs/{split}/{number}"))
    return pairs


class Blobs(pl.LightningDataModule):
    """The blobs as a data module.

    Args:
        root: folder that the pictures are written to.
    """

    batch = FlowBatch

    def __init__(self, *, root: str = "data") -> None:
        super().__init__()
        self.root = root

    def _loader(self, split: str) -> DataLoader:
        from sevenfold.flow.data.pairs import PairDataset

        return DataLoader(PairDataset(blobs(root=self.root, split=split)), batch_size=1)

    def train_dataloader(self) -> DataLoader:
        return self._loader("train")

    def val_dataloader(self) -> DataLoader:
        return self._loader("val")

    test_dataloader = val_dataloader


class Coins(Study[Piece]):
    """Throw a coin a few times.

    Args:
        trials: how many trials.
        chance: probability of heads.
    """

    devices = "cpu"

    def __init__(self, *, trials: int = 4, chance: float = 0.5) -> None:
        self.trials, self.chance = trials, chance

    def pieces(self) -> Sequence[Piece]:
        return [Piece((f"{trial:03d}",), "coin") for trial in range(self.trials)]

    def run(self, piece: Piece, context: Context) -> list[Record]:
        stream = torch_generator(context.seed, "coin", piece.keys[0])
        heads = int((torch.rand(10, generator=stream) < self.chance).sum())
        return [{"key": piece.keys[0], "group": piece.group, "heads": heads}]

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        heads = sum(record["heads"] for record in records) / len(records)
        return Report("Coins", [["heads of 10"], [f"{heads:.1f}"]], scalars={"coin/heads/mean": heads})

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        return {**options, "trials": 2}


class Counter(pl.Callback):
    """Count the batches of training and log the count.

    Args:
        name: of the logged number.
    """

    def __init__(self, *, name: str = "batches") -> None:
        self.name, self.count = name, 0

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        self.count += 1
        module.log(self.name, float(self.count))

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state.get("count", 0)
