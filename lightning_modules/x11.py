"""Fit surrogates of learning curves, and compare models of their noise."""

import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from sevenfold.checkpoint import Checkpoint
from sevenfold.config import ConfigError, Node, build
from sevenfold.exchange import required
from sevenfold.nas.encodings import ENCODINGS
from sevenfold.nas.x11 import COMPRESSIONS, NOISES, REGRESSORS
from sevenfold.nas.x11.base import built, float_tensor, neural
from sevenfold.nas.x11.batch import CurveBatch, CurveFacts
from sevenfold.nas.x11.ensemble import Ensemble
from sevenfold.nas.x11.parts import JudgedPart
from sevenfold.nas.x11.report import Judgement, judge
from sevenfold.nas.x11.surrogate import Surrogate
from sevenfold.nas.x11.tensor import CurveTensor
from sevenfold.ranges import AtLeastTwo, Count, Percent, Seed
from sevenfold.seeding import numpy_generator

SVD5 = {"name": "svd", "k": 5}
LGB = {"name": "lgb"}
WINDOW = {"name": "window"}


@dataclass
class Learned:
    """What one member learns from: encodings, curves, standardized coefficients; and its random stream."""

    x: np.ndarray
    curves: np.ndarray
    targets: Tensor
    stream: np.random.Generator

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return some rows for a network."""
        return float_tensor(self.x[rows.numpy()]), float_tensor(self.curves[rows.numpy()]), self.targets[rows]


class CurveSurrogate(pl.LightningModule):
    """An ensemble of compression + regressor on bootstrap samples, with noise; see ``sevenfold.nas.x11``.

    Networks (a VAE, perceptrons) of all members are trained side by side by the trainer: a VAE in the first
    half of the epochs where perceptrons follow, in all of them otherwise. Trees, decompositions, noise and
    conditioning are fitted once, after the last epoch.

    Args:
        compression: a component of ``COMPRESSIONS``; regressor: of ``REGRESSORS``; noise: of ``NOISES``.
        encoding: one of ``sevenfold.nas.encodings.ENCODINGS``.
        members: of the ensemble, each with seeds and, with ``bootstrap``, rows of its own.
        spikes: whether spikes are modelled apart from the noise.
        folds: of the out-of-sample predictions that noise and conditioning are fitted to.
        chance: accuracy of guessing: curves that end above are scored by themselves too; null: not.
        seed: of everything that is drawn.
    """

    batch: ClassVar[type] = CurveBatch
    outputs: ClassVar[type] = Judgement
    built_from_data = True
    """Networks have sizes that only the data know; a checkpoint is read when these are there."""

    def __init__(
        self,
        *,
        compression: Node = SVD5,
        regressor: Node = LGB,
        noise: Node = WINDOW,
        encoding: str = "adj_onehot",
        members: Count = 5,
        bootstrap: bool = True,
        spikes: bool = True,
        folds: AtLeastTwo = 3,
        chance: Percent | None = 10.0,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        parts = {"compression": compression, "regressor": regressor, "noise": noise}
        tables = {"compression": COMPRESSIONS, "regressor": REGRESSORS, "noise": NOISES}
        for key, node in parts.items():
            build(tables[key], node, key)
        if encoding not in ENCODINGS:
            raise ConfigError("encoding", f"'{encoding}' is not known; one of {', '.join(ENCODINGS)}")
        self.parts, self.chance, self.fitted = parts, chance, False
        self.options: Node = {"encoding": encoding, "members": members, "bootstrap": bootstrap, "seed": seed}
        self.rest: Node = {"noise": noise, "spikes": spikes, "folds": folds}
        self._surrogate: Surrogate | None = None
        self.networks = nn.ModuleList()
        self.facts: CurveFacts | None = None

    def prepare_for(self, facts: CurveFacts) -> None:
        """Take over the curves to learn from."""
        self.facts = facts

    @property
    def surrogate(self) -> Surrogate:
        """Return the surrogate, which is there after :meth:`setup`."""
        assert self._surrogate is not None
        return self._surrogate

    @property
    def training_part(self) -> CurveTensor:
        """Return the curves to learn from."""
        return required(self.facts, self).training

    def setup(self, stage: str) -> None:
        """Prepare the ensemble for the data; build and register the networks."""
        if self._surrogate is not None:
            return
        if stage == "fit" and self.trainer.world_size > 1:
            message = f"is {self.trainer.world_size}; a surrogate of curves is fitted on one device"
            raise ConfigError("trainer.devices", message)
        self._surrogate = self._made(self.training_part)
        self.seconds = 0.0
        if stage == "fit":
            self._begin()

    def _made(self, tensor: CurveTensor) -> Surrogate:
        ensemble = Ensemble(
            tensor.space, metrics=tensor.metrics, epochs=tensor.epochs, compression=self.parts["compression"],
            regressor=self.parts["regressor"], **self.options,
        )  # fmt: skip
        return Surrogate(ensemble, **self.rest)

    def _begin(self) -> None:
        tensor, ensemble = self.training_part, self.surrogate.ensemble
        started = time.monotonic()
        ensemble.scale_blocks(means := tensor.means())
        x, y = ensemble.encode(tensor.archs), ensemble.flat(means)
        ensemble.choose_rank(x, y)
        self.data: list[Learned] = []
        for m, member in enumerate(ensemble.members):
            rows, stream = ensemble.rows(m, len(y)), numpy_generator(ensemble.seed, "member", m)
            if neural(member.compression):
                member.compression.begin(y[rows], stream=stream)
            else:
                member.compression.fit(y[rows], stream)
            k = member.compression.k
            targets = np.zeros((len(rows), k)) if neural(member.compression) else member.targets(y[rows])
            if neural(member.regressor):
                member.regressor.begin(x[rows], targets, stream=stream)
            self.data.append(Learned(x[rows], y[rows], float_tensor(targets), stream))
        parts = [part for member in ensemble.members for part in (member.compression, member.regressor)]
        self.networks.extend(built(part) for part in parts if neural(part))
        self.automatic_optimization = len(self.networks) > 0
        self.seconds += time.monotonic() - started

    def configure_optimizers(self) -> torch.optim.Optimizer | list[torch.optim.Optimizer]:
        """Return Adam with the rates of the parts; nothing where no part is a network."""
        groups = [
            {"params": built(part).parameters(), "lr": part.lr}
            for member in self.surrogate.ensemble.members
            for part in (member.compression, member.regressor)
            if neural(part)
        ]
        return torch.optim.Adam(groups) if groups else []

    def on_train_epoch_start(self) -> None:
        """Turn to the perceptrons where the VAEs have had their epochs: take their latents as targets."""
        members = self.surrogate.ensemble.members
        self.compressing = neural(members[0].compression) and not self._half_done()
        if neural(members[0].compression) and neural(members[0].regressor) and self._half_done():
            for member, data in zip(members, self.data, strict=True):
                assert neural(member.compression)
                built(member.compression).eval()
                data.targets = float_tensor(member.targets(data.curves))

    def _half_done(self) -> bool:
        members = self.surrogate.ensemble.members
        return neural(members[0].regressor) and self.current_epoch >= (self.trainer.max_epochs or 1) // 2

    def training_step(self, batch: CurveBatch, batch_idx: int) -> Tensor | None:
        """Return the sum of the members' losses, each on its own rows; nothing where no part is a network."""
        if not len(self.networks):
            return None
        started, total = time.monotonic(), torch.zeros(())
        for member, data in zip(self.surrogate.ensemble.members, self.data, strict=True):
            x, y, targets = data.batch(batch.rows)
            if self.compressing and neural(member.compression):
                total = total + member.compression.loss(y)
            elif neural(member.regressor):
                total = total + member.regressor.loss(x, targets)
        self.log("train/loss", total / len(self.data), prog_bar=True, batch_size=len(batch.rows))
        self.seconds += time.monotonic() - started
        return total

    def on_train_epoch_end(self) -> None:
        """Finish after the last epoch, before the checkpoint is written."""
        if self.current_epoch + 1 == self.trainer.max_epochs or self.trainer.should_stop:
            self._finish()

    def on_train_end(self) -> None:
        """Finish where training ended for another reason than its last epoch."""
        if not self.fitted:
            self._finish()

    def _finish(self) -> None:
        started = time.monotonic()
        for member, data in zip(self.surrogate.ensemble.members, self.data, strict=True):
            for part in (member.compression, member.regressor):
                if neural(part):
                    built(part).eval()
            if not neural(member.regressor):
                member.regressor.fit(data.x, member.targets(data.curves), data.stream)
        self.surrogate.fit_rest(self.training_part)
        self.fitted = True
        self.seconds += time.monotonic() - started

    def test_step(self, batch: JudgedPart, batch_idx: int) -> Judgement:  # type: ignore[override]
        """Score one test part, with a surrogate of its own where the part asks for one."""
        surrogate, seconds = self.surrogate, self.seconds
        if batch.fit is not None:
            surrogate, started = self._made(batch.fit), time.monotonic()
            surrogate.ensemble.fit(batch.fit.archs, batch.fit.means())
            seconds = time.monotonic() - started
        found = judge(surrogate.ensemble, batch.test, chance=self.chance)
        if batch.fit is None:
            found.observe(surrogate, batch.test, self.chance)
        scores = {
            **found.scores,
            "leak": batch.leak,
            "rows": float(len(batch.test.archs)),
        }
        found.seconds = seconds
        self.log_dict({f"{batch.name}/{key}": value for key, value in scores.items()}, batch_size=1)
        return found

    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Add everything that is no network's weight, as tensors and texts."""
        if self.fitted:
            state = self.surrogate.state().items()
            checkpoint["surrogate"] = {k: v if isinstance(v, str) else torch.tensor(v) for k, v in state}

    def on_load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Take a fitted surrogate back; build its networks first."""
        if "surrogate" not in checkpoint:
            return
        state = checkpoint["surrogate"].items()
        self.surrogate.load({k: v if isinstance(v, str) else v.numpy() for k, v in state})
        self.fitted = True
        parts = [
            p for member in self.surrogate.ensemble.members for p in (member.compression, member.regressor)
        ]
        self.networks = nn.ModuleList(built(part) for part in parts if neural(part))
