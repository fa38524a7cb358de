"""What networks of a surrogate learn from when a trainer trains them."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from torch import Tensor

from sevenfold.nas.x11.base import Floats, Neural, built, float_tensor, neural
from sevenfold.nas.x11.ensemble import Ensemble
from sevenfold.nas.x11.noise.base import Deviations, NeuralNoise
from sevenfold.nas.x11.noise.noisy import NoisyCurves
from sevenfold.nas.x11.tensor import CurveTensor
from sevenfold.seeding import numpy_generator


@dataclass
class Learned:
    """What one member learns from: encodings, curves, standardized coefficients; and its random stream."""

    x: Floats
    curves: Floats
    targets: Tensor
    stream: Generator

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return some rows for a network."""
        return float_tensor(self.x[rows.numpy()]), float_tensor(self.curves[rows.numpy()]), self.targets[rows]


def begin(ensemble: Ensemble, tensor: CurveTensor) -> list[Learned]:
    """Take units and ranks from curves, fit compressions that are no networks and build those that are."""
    ensemble.scale_blocks(means := tensor.means())
    x, y = ensemble.encode(tensor.archs), ensemble.flat(means)
    ensemble.choose_rank(x, y)
    data = []
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
        data.append(Learned(x[rows], y[rows], float_tensor(targets), stream))
    return data


def neural_parts(ensemble: Ensemble) -> list[Neural]:
    """Return the parts of an ensemble that gradients train, member by member."""
    parts = [part for member in ensemble.members for part in (member.compression, member.regressor)]
    return [part for part in parts if neural(part)]


@dataclass
class Lesson:
    """A network among the models of noise: what it learns from, as tensors too, and its random stream."""

    model: NeuralNoise
    given: Deviations
    stream: Generator
    rows: list[Tensor]

    def finish(self) -> None:
        """Bring the network's draws to the spread of what it learned from."""
        built(self.model).eval()
        self.model.calibrate(self.given, self.stream)


def neural_models(noise: NoisyCurves) -> list[NeuralNoise]:
    """Return the models of noise that gradients train, metric by metric."""
    return [model for model in noise.models if isinstance(model, NeuralNoise)]


def lessons(
    noise: NoisyCurves, x: Floats, predicted: Floats, values: Floats, stream: Generator
) -> list[Lesson]:
    """Build the networks of a model of noise for the deviations of curves (n, R, E, M); fit its spikes."""
    networks = []
    for metric, model in enumerate(noise.models):
        given = noise.given(metric, x, predicted, values)
        # Networks of noise model the spread alone; the mean of the deviations is the surrogate's own error.
        given = given._replace(values=given.values - given.values.mean(axis=0))
        noise.fit_spikes(metric, x, predicted, values, stream)
        assert isinstance(model, NeuralNoise)
        model.begin(*model.data(given), stream=stream)
        networks.append(Lesson(model, given, stream, [float_tensor(part) for part in model.data(given)]))
    return networks
