"""Fit surrogates of learning curves, and compare models of their noise."""

import time
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from lightning_modules.curves import CurveModule
from sevenfold.checkpoint import Checkpoint
from sevenfold.config import ConfigError, Node
from sevenfold.errors import InputError
from sevenfold.exchange import required
from sevenfold.nas.x11.base import built, float_tensor, neural
from sevenfold.nas.x11.batch import CurveBatch
from sevenfold.nas.x11.ensemble import Ensemble
from sevenfold.nas.x11.learning import Learned, begin, neural_parts
from sevenfold.nas.x11.parts import JudgedPart
from sevenfold.nas.x11.report import Judgement, judge
from sevenfold.nas.x11.stored import as_arrays, as_tensors, empty_tensor, outline
from sevenfold.nas.x11.surrogate import Surrogate
from sevenfold.nas.x11.tensor import CurveTensor
from sevenfold.ranges import AtLeastTwo, Count, Percent, Seed
from sevenfold.tables import OneOf

SVD5 = {"name": "svd", "k": 5}
LGB = {"name": "lgb"}
WINDOW = {"name": "window"}


class CurveSurrogate(CurveModule):
    """An ensemble of compression + regressor on bootstrap samples, with noise; see ``sevenfold.nas.x11``.

    Networks (a VAE, perceptrons) of all members are trained side by side by the trainer: a VAE in the first
    half of the epochs where perceptrons follow, in all of them otherwise. Trees, decompositions, noise and
    conditioning are fitted once, after the last epoch.

    Args:
        compression: of curves to a few coefficients.
        regressor: from an encoding to coefficients.
        noise: of one training.
        encoding: of architectures.
        members: size of the ensemble; each member has its seeds.
        bootstrap: whether each member learns from rows drawn with replacement.
        spikes: whether spikes are modelled apart from the noise.
        folds: of the out-of-sample predictions that noise and conditioning are fitted to.
        chance: accuracy of guessing: curves that end above are scored by themselves too; null: not.
        seed: of everything that is drawn.
    """

    outputs: ClassVar[type] = Judgement

    def __init__(
        self,
        *,
        compression: Annotated[Node, OneOf("sevenfold.nas.x11:COMPRESSIONS")] = SVD5,
        regressor: Annotated[Node, OneOf("sevenfold.nas.x11:REGRESSORS")] = LGB,
        noise: Annotated[Node, OneOf("sevenfold.nas.x11:NOISES")] = WINDOW,
        encoding: Annotated[str, OneOf("sevenfold.nas.encodings:ENCODINGS")] = "adj_onehot",
        members: Count = 5,
        bootstrap: bool = True,
        spikes: bool = True,
        folds: AtLeastTwo = 3,
        chance: Percent | None = 10.0,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.parts: Node = {"compression": compression, "regressor": regressor}
        self.chance = chance
        self.options: Node = {"encoding": encoding, "members": members, "bootstrap": bootstrap, "seed": seed}
        self.rest: Node = {"noise": noise, "spikes": spikes, "folds": folds}
        self._surrogate: Surrogate | None = None
        self.data: list[Learned] = []

    @property
    def surrogate(self) -> Surrogate:
        """Return the surrogate, which is there after :meth:`setup`, and in a loaded module."""
        assert self._surrogate is not None
        return self._surrogate

    @property
    def training_part(self) -> CurveTensor:
        """Return the curves to learn from."""
        return required(self.facts, self).training

    def select(self, noise: str | None = None) -> Surrogate:
        """Return the fitted surrogate."""
        if not self.fitted or noise is not None:
            what = "has one model of noise" if self.fitted else "has not been trained: fit it, or load one"
            raise InputError(f"{type(self).__name__} {what}")
        return self.surrogate

    def setup(self, stage: str) -> None:
        """Prepare the ensemble for the data; build and register the networks."""
        if self._surrogate is not None and (stage != "fit" or self.data):
            return
        if stage == "fit" and self.trainer.world_size > 1:
            message = f"is {self.trainer.world_size}; a surrogate of curves is fitted on one device"
            raise ConfigError("trainer.devices", message)
        self._surrogate = self._made(self.training_part)
        self.seconds = 0.0
        if stage == "fit":
            started, self.fitted = time.monotonic(), False
            self.data = begin(self.surrogate.ensemble, self.training_part)
            self.register(neural_parts(self.surrogate.ensemble))
            self.seconds += time.monotonic() - started

    def _made(self, tensor: CurveTensor) -> Surrogate:
        ensemble = Ensemble(
            tensor.space, metrics=tensor.metrics, epochs=tensor.epochs, **self.parts, **self.options
        )
        return Surrogate(ensemble, **self.rest)

    def on_train_epoch_start(self) -> None:
        """Turn to the perceptrons where the VAEs have had their epochs: take their latents as targets."""
        members = self.surrogate.ensemble.members
        self.compressing = neural(members[0].compression) and not self._half_done()
        if neural(members[0].compression) and neural(members[0].regressor) and self._half_done():
            for member, data in zip(members, self.data, strict=True):
                assert neural(member.compression)
                built(member.compression).eval()
                # From here on the VAE is fixed, so its latents are computed once instead of at every batch.
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

    def finish(self) -> None:
        """Fit the regressors that are no networks, noise and conditioning."""
        started = time.monotonic()
        for member, data in zip(self.surrogate.ensemble.members, self.data, strict=True):
            if not neural(member.regressor):
                member.regressor.fit(data.x, member.targets(data.curves), data.stream)
        self.surrogate.fit_rest(self.training_part)
        self.seconds += time.monotonic() - started

    def test_step(self, batch: JudgedPart, batch_idx: int) -> Judgement:  # type: ignore[override]
        """Score one test part, with a separate surrogate where the part needs one."""
        surrogate, seconds = self.surrogate, self.seconds
        if batch.fit is not None:
            surrogate, started = self._made(batch.fit), time.monotonic()
            surrogate.ensemble.fit(batch.fit.archs, batch.fit.means())
            seconds = time.monotonic() - started
        judgement = judge(surrogate.ensemble, batch.test, chance=self.chance)
        if batch.fit is None:
            judgement.observe(surrogate, batch.test, self.chance)
        scores = {**judgement.scores, "leak": batch.leak, "rows": float(len(batch.test.archs))}
        judgement.seconds = seconds
        self.log_dict({f"{batch.name}/{key}": value for key, value in scores.items()}, batch_size=1)
        return judgement

    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Add everything that is no network's weight, as tensors, texts and plain values."""
        super().on_save_checkpoint(checkpoint)
        if self.fitted:
            ensemble = self.surrogate.ensemble
            checkpoint["surrogate"] = as_tensors(self.surrogate.state())
            checkpoint["curves"] = outline(ensemble.space, ensemble.metrics, ensemble.epochs)

    def on_load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Take a fitted surrogate back; build its networks first."""
        if self._surrogate is None:
            self._surrogate = self._made(empty_tensor(checkpoint.get("curves", {}), type(self).__name__))
        if "surrogate" in checkpoint:
            self.surrogate.load(as_arrays(checkpoint["surrogate"]))
            self.register(neural_parts(self.surrogate.ensemble))
            self.fitted = True
