"""A small family of parts, registered by the tests as an outsider would: a file and a line each."""

import dataclasses
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from datamodules.sampling import EpochSampler
from sevenfold.config import ConfigError, build
from sevenfold.records import read_folder
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


class ToyModule(pl.LightningModule):
    """Least squares, with dropout so that resuming must get the randomness right too."""

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

    def loss(self, batch: Any) -> torch.Tensor:
        x, y = batch
        if self.kind == "noisy":
            x = x + 0.1 * torch.randn(
                x.shape, generator=torch_generator(self.seed, "noise", self.global_step)
            )
        return (self.linear(x) - y).square().mean()

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        loss = self.loss(batch)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val/loss", self.loss(batch))

    def test_step(self, batch: Any, index: int) -> None:
        self.log("test/loss", self.loss(batch))
        self.log("reference/test/zero_loss", batch[1].square().mean())

    def predict_step(self, batch: Any, index: int) -> list[dict[str, Any]]:
        trials = batch.tolist() if isinstance(batch, torch.Tensor) else batch
        draws = [
            torch.rand((), generator=torch_generator(self.seed, "trial", trial)).item() for trial in trials
        ]
        return [{"key": f"{t:03d}", "group": "draw", "value": d} for t, d in zip(trials, draws, strict=True)]

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.optim.lr, betas=self.optim.betas)


class Points(Dataset):
    def __init__(self, width: int, size: int):
        self.width, self.size = width, size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: Any) -> tuple[torch.Tensor, torch.Tensor]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        x = torch.randn(self.width, generator=torch_generator(0, epoch, index))
        return x, x.sum(0, keepdim=True)


class ToyData(pl.LightningDataModule):
    def __init__(self, *, width: int = 4, size: int = 16, trials: int = 6, batch_size: int = 4):
        super().__init__()
        self.width, self.size, self.trials, self.batch_size = width, size, trials, batch_size
        self.pending: list[int] = []

    def setup(self, stage: str) -> None:
        if stage == "predict":
            done = {int(record["key"]) for record in read_folder(f"{self.trainer.default_root_dir}/records")}
            self.pending = [trial for trial in range(self.trials) if trial not in done]

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

    def predict_dataloader(self) -> DataLoader:
        return DataLoader(self.pending, batch_size=1)
