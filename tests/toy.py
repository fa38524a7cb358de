"""A small family of parts, registered by the tests as an outsider would: a file and a line each."""

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from datamodules.sampling import EpochLoader, EpochSampler
from sevenfold.config import ConfigError, build
from sevenfold.records import Record
from sevenfold.seeding import torch_generator
from sevenfold.study import Context, Piece, Report, Study


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
    """Least squares, with noise so that resuming must get the randomness right too.

    Args:
        width: of the input.
        kind: noise in the input: none, drawn from a named stream, or from the global random numbers.
        optim: of Adam.
        solver: built and not used.
        seed: of the named stream.
        fault: from step ``fault_at`` on the loss is NaN or a million times itself, or a weight is infinite;
            or the loss is NaN at this step alone ("once"), or at three ("burst").
        fault_at: the step.
        stop_with: the signal that the process sends itself at step ``stop_at``, unless TOY_SPARED is set.
        stop_at: the step.
    """

    batch: ClassVar[type] = PointBatch

    def __init__(
        self,
        *,
        width: int = 4,
        kind: Literal["plain", "noisy", "global"] = "plain",
        optim: Optim = Optim(),
        solver: dict[str, Any] = {"name": "shrink", "steps": 8},  # noqa: B006
        seed: int = 0,
        fault: Literal["none", "nan", "once", "burst", "explode", "weight"] = "none",
        fault_at: int = 6,
        stop_with: int = 0,
        stop_at: int = 1,
    ):
        super().__init__()
        self.linear, self.optim, self.kind, self.seed = torch.nn.Linear(width, 1), optim, kind, seed
        self.solver = build(TOY_SOLVERS, solver, "solver")
        self.fault, self.fault_at, self.stop_with, self.stop_at = fault, fault_at, stop_with, stop_at
        if fault == "weight":
            self.idle = torch.nn.Parameter(torch.zeros(1))

    def loss(self, batch: PointBatch) -> torch.Tensor:
        x, y = batch
        if self.kind == "noisy":
            x = x + 0.1 * torch.randn(
                x.shape, generator=torch_generator(self.seed, "noise", self.global_step)
            )
        if self.kind == "global" and self.training:
            x = torch.nn.functional.dropout(x, 0.2) + 0.1 * float(np.random.normal())  # noqa: NPY002
        return (self.linear(x) - y).square().mean()

    def training_step(self, batch: PointBatch, index: int) -> torch.Tensor:
        if self.stop_with and self.global_step == self.stop_at and "TOY_SPARED" not in os.environ:
            os.kill(os.getpid(), self.stop_with)
        loss = self.loss(batch)
        if self.fault != "none" and self.global_step >= self.fault_at:
            short = {"once": 1, "burst": 3}.get(self.fault)
            if short is not None:
                loss = loss * (torch.nan if self.global_step < self.fault_at + short else 1.0)
            elif self.fault == "weight":
                self.idle.data.fill_(torch.inf)
            else:
                loss = loss * {"nan": torch.nan, "explode": 1e6}[self.fault]
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
    def __init__(self, width: int, size: int, pause: float = 0.0):
        self.width, self.size, self.pause = width, size, pause

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: Any) -> PointBatch:
        time.sleep(self.pause)
        epoch, index = key if isinstance(key, tuple) else (0, key)
        x = torch.randn(self.width, generator=torch_generator(0, epoch, index))
        return PointBatch(x, x.sum(0, keepdim=True))


class ToyData(pl.LightningDataModule):
    batch: ClassVar[type] = PointBatch

    def __init__(
        self, *, width: int = 4, size: int = 16, batch_size: int = 4, workers: int = 0, pause: float = 0.0
    ):
        super().__init__()
        self.width, self.size, self.batch_size = width, size, batch_size
        self.workers, self.pause = workers, pause

    def train_dataloader(self) -> EpochLoader:
        data = Points(self.width, self.size, self.pause)
        sampler = EpochSampler(
            data, seed=0, rank=self.trainer.global_rank, world_size=self.trainer.world_size
        )
        return EpochLoader(data, batch_size=self.batch_size, sampler=sampler, num_workers=self.workers)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(Points(self.width, 8), batch_size=self.batch_size)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(Points(self.width, 8), batch_size=self.batch_size)

    def predict_dataloader(self) -> DataLoader:
        return DataLoader(Points(self.width, 8, self.pause), batch_size=self.batch_size)


class Draws(Study[Piece]):
    """One random number per trial.

    Args:
        trials: how many.
        stop_with: the signal that the process sends itself in trial ``stop_at``.
        stop_at: the trial.
        pause: seconds that a trial takes.
    """

    devices = "cpu"
    running = ("value",)

    def __init__(self, *, trials: int = 6, stop_with: int = 0, stop_at: int = 2, pause: float = 0.0):
        self.trials, self.stop_with, self.stop_at, self.pause = trials, stop_with, stop_at, pause

    def pieces(self) -> Sequence[Piece]:
        return [Piece((f"{trial:03d}",), "draw") for trial in range(self.trials)]

    def run(self, piece: Piece, context: Context) -> list[Record]:
        (key,) = piece.keys
        if self.stop_with and int(key) == self.stop_at:
            os.kill(os.getpid(), self.stop_with)
        time.sleep(self.pause)
        value = torch.rand((), generator=torch_generator(context.seed, "trial", int(key))).item()
        return [{"key": key, "group": piece.group, "value": value}]

    def summarize(self, records: Sequence[Record], folder: Path) -> Report:
        numbers = {"draw/value/n": len(records), "draw/value/sum": sum(r["value"] for r in records)}
        return Report("Draws", [["number"], [str(len(records))]], ["Numbers."], scalars=numbers)

    @classmethod
    def tiny(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        return {**options, "trials": 2}
