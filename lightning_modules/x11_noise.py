"""Compare models of the noise of training on a training that none of them has seen."""

from typing import Annotated, ClassVar

from torch import Tensor

from lightning_modules.curves import CurveModule
from sevenfold.checkpoint import Checkpoint
from sevenfold.config import ConfigError, Node
from sevenfold.errors import InputError, suggest
from sevenfold.exchange import required
from sevenfold.nas.x11.base import Floats
from sevenfold.nas.x11.batch import CurveBatch
from sevenfold.nas.x11.ensemble import Ensemble
from sevenfold.nas.x11.learning import Lesson, lessons, neural_models
from sevenfold.nas.x11.noise.base import NeuralNoise
from sevenfold.nas.x11.noise.judge import NoiseJudgement, judge_noise
from sevenfold.nas.x11.parts import JudgedPart
from sevenfold.nas.x11.stored import as_arrays, as_tensors, empty_tensor, outline
from sevenfold.nas.x11.surrogate import Surrogate, out_of_fold
from sevenfold.nas.x11.tensor import CurveTensor
from sevenfold.ranges import AtLeastTwo, Count, Seed
from sevenfold.seeding import numpy_generator
from sevenfold.tables import OneOf

SVD6 = {"name": "svd", "k": 6}
LGB = {"name": "lgb"}


class NoiseStudy(CurveModule):
    """Fit one surrogate and several models of its noise; judge each on the run ``data.judge_run``.

    The surrogate is fitted before training begins. Networks among the models are trained by the trainer, one
    deviation of each architecture in an epoch; the others are fitted at once.

    Args:
        noises: models of noise by label; null removes one.
        compression: of curves, as in ``curve_surrogate``.
        regressor: from an encoding to coefficients.
        encoding: of architectures.
        members: of the surrogate's ensemble.
        spikes: whether spikes are modelled apart.
        folds: of the out-of-sample predictions.
        draws: curves that are drawn for each test architecture.
        seed: of everything that is drawn.
    """

    outputs: ClassVar[type] = NoiseJudgement

    def __init__(
        self,
        *,
        noises: dict[str, Annotated[Node | None, OneOf("sevenfold.nas.x11:NOISES")]],
        compression: Annotated[Node, OneOf("sevenfold.nas.x11:COMPRESSIONS")] = SVD6,
        regressor: Annotated[Node, OneOf("sevenfold.nas.x11:REGRESSORS")] = LGB,
        encoding: Annotated[str, OneOf("sevenfold.nas.encodings:ENCODINGS")] = "adj_onehot",
        members: Count = 2,
        spikes: bool = True,
        folds: AtLeastTwo = 2,
        draws: AtLeastTwo = 5,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self.noises = {label: node for label, node in noises.items() if node is not None}
        if not self.noises:
            raise ConfigError("noises", "needs at least one")
        self.options: Node = {"compression": compression, "regressor": regressor, "encoding": encoding,
                              "members": members, "seed": seed}  # fmt: skip
        self.spikes, self.folds, self.draws = spikes, folds, draws
        self.surrogates: dict[str, Surrogate] = {}
        self.lessons: list[Lesson] = []
        self.data: tuple[Floats, ...] = ()

    def setup(self, stage: str) -> None:
        """Fit the surrogate and the models that are no networks; prepare those that are."""
        if self.surrogates and (stage != "fit" or self.data):
            return
        facts = required(self.facts, self)
        if not facts.separate_run:
            raise ConfigError(
                "data.judge_run", "is not set; noise is judged on a run that nothing learns from"
            )
        tensor = facts.training
        ensemble = self._made(tensor).ensemble
        ensemble.fit(tensor.archs, tensor.means())
        self.data = x, predicted, values = (
            ensemble.encode(tensor.archs), out_of_fold(ensemble, tensor, self.folds), tensor.values,
        )  # fmt: skip
        self.lessons, self.fitted = [], False
        for label, surrogate in self.surrogates.items():
            stream = numpy_generator(ensemble.seed, "noise", label)
            if neural_models(surrogate.noise):
                self.lessons += lessons(surrogate.noise, x, predicted, values, stream)
            else:
                surrogate.noise.fit(x, predicted, values, stream)
        self.register(self._networks())

    def _made(self, tensor: CurveTensor) -> Surrogate:
        """Make a surrogate for each model of noise, all with one ensemble; return the first."""
        ensemble = Ensemble(tensor.space, metrics=tensor.metrics, epochs=tensor.epochs, **self.options)
        for label, node in self.noises.items():
            self.surrogates[label] = Surrogate(ensemble, noise=node, spikes=self.spikes, folds=self.folds)
        return next(iter(self.surrogates.values()))

    def _networks(self) -> list[NeuralNoise]:
        return [model for surrogate in self.surrogates.values() for model in neural_models(surrogate.noise)]

    def select(self, noise: str | None = None) -> Surrogate:
        """Return the surrogate with a model of noise."""
        label = next(iter(self.noises)) if noise is None else noise
        if label not in self.surrogates:
            why = "it has not been trained" if label in self.noises else suggest(label, self.noises)
            raise InputError(f"{type(self).__name__} has no model of noise {label!r}: {why}")
        return self.surrogates[label]

    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Add the surrogate and the models of noise, as tensors, texts and plain values."""
        super().on_save_checkpoint(checkpoint)
        checkpoint |= {"noises": {}, "fitted": self.fitted}
        for label, surrogate in self.surrogates.items():
            ensemble = surrogate.ensemble
            checkpoint["curves"] = outline(ensemble.space, ensemble.metrics, ensemble.epochs)
            checkpoint["ensemble"] = as_tensors(ensemble.state())
            checkpoint["noises"][label] = as_tensors(surrogate.noise.state())

    def on_load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Take surrogate and models of noise back; build their networks first."""
        if not self.surrogates:
            self._made(empty_tensor(checkpoint.get("curves", {}), type(self).__name__))
        for label, surrogate in self.surrogates.items():
            surrogate.ensemble.load(as_arrays(checkpoint["ensemble"]))
            surrogate.noise.load(as_arrays(checkpoint["noises"][label]))
        self.register(self._networks())
        self.fitted = checkpoint["fitted"]

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

    def finish(self) -> None:
        """Bring the networks' draws to the spread of what they learned from."""
        for lesson in self.lessons:
            lesson.finish()

    def test_step(self, batch: JudgedPart, batch_idx: int) -> dict[str, NoiseJudgement]:
        """Judge every model."""
        judgements = {}
        for label, surrogate in self.surrogates.items():
            stream = numpy_generator(surrogate.ensemble.seed, "draws", label)
            judgements[label] = judge_noise(
                surrogate, batch.test, batch.judge, draws=self.draws, stream=stream
            )
            scores = {f"{label}/{name}": value for name, value in judgements[label].scores.items()}
            self.log_dict(scores, batch_size=1, add_dataloader_idx=False)
        return judgements
