"""A small family of parts, registered by the tests as an outsider would: a file and a line each."""

import dataclasses
from typing import Any, ClassVar, Literal, NamedTuple

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from datamodules.sampling import EpochSampler
from sevenfold.config import ConfigError, build
from sevenfold.seeding import torch_generator


@dataclasses.dataclass(frozen=True)
class Optim:
    lr: float = 0.05
    betas: tuple[float, float] = (0.9, 0.99)


class Shrink:
    def __init__(self, *, tol: float = 1e-3, steps: int = 4):
        if tol <= 0:
            raise ConfigError("tol", f"must be positive, got {tol}")
        self.tol, self.steps = tol, steps


class Grow:
    def __init__(self, *, factor: float = 2.0):
        self.factor = factor


TOY_SOLVERS = {"shrink": "toy:Shrink", "grow": "toy:Grow"}


class PointBatch(NamedTuple):
    """Points (B, width) and the sums of their coordinates (B, 1)."""

    x: torch.Tensor
    y: torch.Tensor


class ToyModule(pl.LightningModule):
    """Least squares, with dropout so that resuming must get the randomness right too."""

    batch: ClassVar[type] = PointBatch

    def __init__(
        self,
        *,
        width: int = 4,
        kind: Literal["plain", "noisy"] = "plain",
        optim: Optim = Optim(),
        solver: dict[str, Any] = {"name": "shrink", "steps": 8},  # noqa: B006
        seed: int = 0,
    ):
        super().__init__()
        self.linear, self.optim, self.kind, self.seed = torch.nn.Linear(width, 1), optim, kind, seed
        self.solver = build(TOY_SOLVERS, solver, "solver")

    def loss(self, batch: PointBatch) -> torch.Tensor:
        x, y = batch
        if self.kind == "noisy":
            x = x + 0.1 * torch.randn(
                x.shape, generator=torch_generator(self.seed, "noise", self.global_step)
            )
        return (self.linear(x) - y).square().mean()

    def training_step(self, batch: PointBatch, index: int) -> torch.Tensor:
        loss = self.loss(batch)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: PointBatch, index: int) -> None:
        self.log("val/loss", self.loss(batch))

    def test_step(self, batch: PointBatch, index: int) -> None:
        self.log("test/loss", self.loss(batch))
        self.log("reference/test/zero_loss", batch.y.square().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.optim.lr, betas=self.optim.betas)


class Points(Dataset):
    def __init__(self, width: int, size: int):
        self.width, self.size = width, size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: Any) -> PointBatch:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        x = torch.randn(self.width, generator=torch_generator(0, epoch, index))
        return PointBatch(x, x.sum(0, keepdim=True))


class ToyData(pl.LightningDataModule):
    batch: ClassVar[type] = PointBatch

    def __init__(self, *, width: int = 4, size: int = 16, batch_size: int = 4):
        super().__init__()
        self.width, self.size, self.batch_size = width, size, batch_size

    def train_dataloader(self) -> DataLoader:
        data = Points(self.width, self.size)
        sampler = EpochSampler(
            data, seed=0, rank=self.trainer.global_rank, world_size=self.trainer.world_size
        )
        return DataLoader(data, self.batch_size, sampler=sampler)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(Points(self.width, 8), self.batch_size)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(Points(self.width, 8), self.batch_size)
