"""Compare models of the noise of training on a training that none of them has seen."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from sevenfold.config import ConfigError, Node, build
from sevenfold.exchange import required
from sevenfold.nas.x11 import COMPRESSIONS, NOISES, REGRESSORS
from sevenfold.nas.x11.base import built, float_tensor
from sevenfold.nas.x11.batch import CurveBatch, CurveFacts
from sevenfold.nas.x11.ensemble import Ensemble
from sevenfold.nas.x11.noise.base import Deviations, NeuralNoise
from sevenfold.nas.x11.noise.judge import NoiseJudgement, judge_noise
from sevenfold.nas.x11.noise.noisy import NoisyCurves
from sevenfold.nas.x11.parts import JudgedPart
from sevenfold.nas.x11.surrogate import Surrogate, out_of_fold
from sevenfold.ranges import AtLeastTwo, Count, Seed
from sevenfold.seeding import numpy_generator


@dataclass
class Lesson:
    """A network among the models of noise: what it learns from, as tensors too, and its random stream."""

    model: NeuralNoise
    given: Deviations
    stream: np.random.Generator
    rows: list[Tensor]


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

    batch: ClassVar[type] = CurveBatch
    outputs: ClassVar[type] = NoiseJudgement
    built_from_data = True

    def __init__(
        self,
        *,
        noises: Node,
        compression: Node = {"name": "svd", "k": 6},  # noqa: B006 (never changed)
        regressor: Node = {"name": "lgb"},  # noqa: B006
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
        self.options: Node = {"compression": compression, "regressor": regressor, "encoding": encoding,
                        "members": members, "seed": seed}  # fmt: skip
        self.spikes, self.folds, self.draws = spikes, folds, draws
        self.surrogates: dict[str, Surrogate] = {}
        self.networks, self.lessons = nn.ModuleList(), list[Lesson]()
        self.facts: CurveFacts | None = None

    def prepare_for(self, facts: CurveFacts) -> None:
        """Take over the curves to learn from."""
        self.facts = facts

    def setup(self, stage: str) -> None:
        """Fit the surrogate and the models that are no networks; prepare those that are."""
        if self.surrogates:
            return
        facts = required(self.facts, self)
        if not facts.separate_run:
            raise ConfigError(
                "data.judge_run", "is not set; noise is judged on a run that nothing learns from"
            )
        tensor = facts.training
        ensemble = Ensemble(tensor.space, metrics=tensor.metrics, epochs=tensor.epochs, **self.options)
        ensemble.fit(tensor.archs, tensor.means())
        self.data = (ensemble.encode(tensor.archs), out_of_fold(ensemble, tensor, self.folds), tensor.values)
        for label, node in self.noises.items():
            surrogate = Surrogate(ensemble, noise=node, spikes=self.spikes, folds=self.folds)
            self.surrogates[label] = surrogate
            stream = numpy_generator(ensemble.seed, "noise", label)
            if any(isinstance(model, NeuralNoise) for model in surrogate.noise.models):
                self._begin(surrogate.noise, stream)
            else:
                surrogate.noise.fit(*self.data, stream)
        self.automatic_optimization = len(self.networks) > 0

    def _begin(self, noise: NoisyCurves, stream: np.random.Generator) -> None:
        for metric, model in enumerate(noise.models):
            given = noise.given(metric, *self.data)
            given = given._replace(values=given.values - given.values.mean(axis=0))
            noise.fit_spikes(metric, *self.data, stream)
            assert isinstance(model, NeuralNoise)
            model.begin(*model.data(given), stream=stream)
            self.lessons.append(Lesson(model, given, stream, [float_tensor(d) for d in model.data(given)]))
            self.networks.append(built(model))

    def configure_optimizers(self) -> torch.optim.Optimizer | list[torch.optim.Optimizer]:
        """Return Adam with the rates of the models; nothing where none is a network."""
        models = [lesson.model for lesson in self.lessons]
        groups = [{"params": built(model).parameters(), "lr": model.lr} for model in models]
        return torch.optim.Adam(groups) if groups else []

    def training_step(self, batch: CurveBatch, batch_idx: int) -> Tensor | None:
        """Return the sum of the networks' losses on one deviation of each architecture in the batch."""
        total = None
        for lesson in self.lessons:
            runs = len(lesson.rows[0]) // len(self.data[0])
            rows = batch.rows * runs + self.current_epoch % max(runs, 1)
            loss = lesson.model.loss(*(part[rows] for part in lesson.rows))
            total = loss if total is None else total + loss
        if total is not None:
            self.log("train/loss", total, prog_bar=True, batch_size=len(batch.rows))
        return total

    def on_train_end(self) -> None:
        """Bring the networks' draws to the spread of what they learned from."""
        for lesson in self.lessons:
            built(lesson.model).eval()
            lesson.model.calibrate(lesson.given, lesson.stream)

    def test_step(self, batch: JudgedPart, batch_idx: int) -> dict[str, NoiseJudgement]:
        """Judge every model."""
        found = {}
        for label, surrogate in self.surrogates.items():
            stream = numpy_generator(surrogate.ensemble.seed, "draws", label)
            found[label] = judge_noise(surrogate, batch.test, batch.judge, draws=self.draws, stream=stream)
            scores = {f"{label}/{name}": value for name, value in found[label].scores.items()}
            self.log_dict(scores, batch_size=1, add_dataloader_idx=False)
        return found
