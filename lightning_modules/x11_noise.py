"""Compare models of the noise of training on a training that none of them has seen."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from sevenfold.config import ConfigError, build
from sevenfold.nas.x11 import COMPRESSIONS, NOISES, REGRESSORS
from sevenfold.nas.x11.base import float_tensor
from sevenfold.nas.x11.ensemble import Ensemble
from sevenfold.nas.x11.noise.judge import NoiseJudgement, judge_noise
from sevenfold.nas.x11.noise.noisy import NoisyCurves
from sevenfold.nas.x11.surrogate import Surrogate, out_of_fold
from sevenfold.ranges import AtLeastTwo, Count, Seed
from sevenfold.seeding import numpy_generator


class NoiseStudy(pl.LightningModule):
    """Fit one surrogate and several models of its noise; judge each on the run ``data.judge_run``.

    The surrogate is fitted before training begins. Networks among the models are trained by the trainer, one
    deviation of each architecture in an epoch; the others are fitted at once.

    Args:
        noises: components of ``NOISES`` by label; null removes one.
        compression, regressor, encoding, members: of the surrogate, as in ``curve_surrogate``.
        spikes: whether spikes are modelled apart.
        folds: of the out-of-sample predictions.
        draws: curves that are drawn for each test architecture.
        seed: of everything that is drawn.
    """

    built_from_data = True

    def __init__(
        self,
        *,
        noises: dict[str, Any],
        compression: dict[str, Any] = {"name": "svd", "k": 6},  # noqa: B006 (never changed)
        regressor: dict[str, Any] = {"name": "lgb"},  # noqa: B006
        encoding: str = "adj_onehot",
        members: Count = 2,
        spikes: bool = True,
        folds: AtLeastTwo = 2,
        draws: AtLeastTwo = 5,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.noises = {label: node for label, node in noises.items() if node is not None}
        for label, node in self.noises.items():
            build(NOISES, node, f"noises.{label}")
        build(COMPRESSIONS, compression, "compression")
        build(REGRESSORS, regressor, "regressor")
        if not self.noises:
            raise ConfigError("noises", "needs at least one")
        self.options = {"compression": compression, "regressor": regressor, "encoding": encoding,
                        "members": members, "seed": seed}  # fmt: skip
        self.spikes, self.folds, self.draws = spikes, folds, draws
        self.surrogates: dict[str, Surrogate] = {}
        self.networks = nn.ModuleList()

    def setup(self, stage: str) -> None:
        """Fit the surrogate and the models that are no networks; prepare those that are."""
        if self.surrogates:
            return
        if self.trainer.datamodule.last is None:
            raise ConfigError(
                "data.judge_run", "is not set; noise is judged on a run that nothing learns from"
            )
        tensor = self.trainer.datamodule.training
        ensemble = Ensemble(tensor.space, metrics=tensor.metrics, epochs=tensor.epochs, **self.options)
        ensemble.fit(tensor.archs, tensor.means())
        self.data = (ensemble.encode(tensor.archs), out_of_fold(ensemble, tensor, self.folds), tensor.values)
        for label, node in self.noises.items():
            surrogate = Surrogate(ensemble, noise=node, spikes=self.spikes, folds=self.folds)
            self.surrogates[label] = surrogate
            stream = numpy_generator(ensemble.seed, "noise", label)
            if any(hasattr(model, "network") for model in surrogate.noise.models):
                self._begin(surrogate.noise, stream)
            else:
                surrogate.noise.fit(*self.data, stream)
        self.automatic_optimization = len(self.networks) > 0

    def _begin(self, noise: NoisyCurves, stream: np.random.Generator) -> None:
        for metric, model in enumerate(noise.models):
            given = noise.given(metric, *self.data)
            given = given._replace(values=given.values - given.values.mean(axis=0))
            noise.fit_spikes(metric, *self.data, stream)
            model.begin(*model.data(given), stream=stream)
            model.trained_on = given, stream, [float_tensor(part) for part in model.data(given)]
            self.networks.append(model.network)

    def neural(self) -> list[Any]:
        """Return the models that are networks."""
        models = [model for surrogate in self.surrogates.values() for model in surrogate.noise.models]
        return [model for model in models if hasattr(model, "network")]

    def configure_optimizers(self) -> Any:
        """Return Adam with the rates of the models; nothing where none is a network."""
        groups = [{"params": model.network.parameters(), "lr": model.lr} for model in self.neural()]
        return torch.optim.Adam(groups) if groups else []

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor | None:
        """Return the sum of the networks' losses on one deviation of each architecture in the batch."""
        total = None
        for model in self.neural():
            deviations = model.trained_on[2]
            runs = len(deviations[0]) // len(self.data[0])
            rows = batch[0] * runs + self.current_epoch % max(runs, 1)
            loss = model.loss(*(part[rows] for part in deviations))
            total = loss if total is None else total + loss
        if total is not None:
            self.log("train/loss", total, prog_bar=True, batch_size=len(batch[0]))
        return total

    def on_train_end(self) -> None:
        """Bring the networks' draws to the spread of what they learned from."""
        for model in self.neural():
            model.network.eval()
            model.calibrate(*model.trained_on[:2])

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, NoiseJudgement]:
        """Judge every model."""
        found = {}
        for label, surrogate in self.surrogates.items():
            stream = numpy_generator(surrogate.ensemble.seed, "draws", label)
            found[label] = judge_noise(surrogate, batch.test, batch.judge, draws=self.draws, stream=stream)
            scores = {f"{label}/{name}": value for name, value in found[label].scores.items()}
            self.log_dict(scores, batch_size=1, add_dataloader_idx=False)
        return found
