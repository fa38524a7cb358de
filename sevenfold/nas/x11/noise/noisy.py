"""Noise of a whole surrogate: a model for each metric, and spikes of accuracies."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator

from sevenfold.config import build, name_of
from sevenfold.nas.spaces.base import Ints
from sevenfold.nas.x11 import NOISES
from sevenfold.nas.x11.base import Floats, State, below
from sevenfold.nas.x11.noise.base import Deviations, Noise, deviations
from sevenfold.nas.x11.noise.draws import Draws, keyed, streamed
from sevenfold.nas.x11.noise.spikes import Spikes, without_spikes


class NoisyCurves:
    """Draws of curves: denoised curve + smooth noise + spikes, within bounds.

    Args:
        node: name and options of the noise model.
        metrics: "split/metric" of each metric.
        with_spikes: model spikes apart from the smooth noise.
    """

    def __init__(self, node: Mapping[str, Any], metrics: Sequence[str], *, with_spikes: bool = True) -> None:
        self.metrics, self.with_spikes = tuple(metrics), with_spikes and name_of(node, "noise") != "none"
        self.models: list[Noise] = [build(NOISES, node, "noise") for _ in metrics]
        self.spikes = [Spikes() for _ in metrics]

    def given(self, metric: int, x: Floats, predicted: Floats, values: Floats) -> Deviations:
        """Return what the model of a metric learns from: predictions (n, E, M) that come from models that
        have not seen the architectures, and curves (n, R, E, M).
        """
        curves = values[:, :, :, metric]
        if self._spiky(metric):
            known = ~np.isnan(curves).any(axis=2)
            curves = curves.copy()
            curves[known] = without_spikes(curves[known])
        residuals, rows = deviations(curves, predicted[:, :, metric])
        return Deviations(x[rows], predicted[rows, :, metric], residuals)

    def fit(self, x: Floats, predicted: Floats, values: Floats, stream: Generator) -> None:
        """Learn noise and spikes of every metric."""
        for metric, model in enumerate(self.models):
            model.fit(self.given(metric, x, predicted, values), stream)
            self.fit_spikes(metric, x, predicted, values, stream)

    def fit_spikes(
        self, metric: int, x: Floats, predicted: Floats, values: Floats, stream: Generator
    ) -> None:
        """Learn the spikes of a metric, where it has any."""
        if self._spiky(metric):
            rows, runs = np.nonzero(~np.isnan(values[:, :, -1, metric]))
            curves = values[rows, runs, :, metric]
            self.spikes[metric].fit(x[rows], predicted[rows, :, metric], curves, stream)

    def draw(self, x: Floats, predicted: Floats, archs: Ints, seeds: Sequence[int]) -> Floats:
        """Return one curve (n, E, M) for each architecture and seed, always the same for the same two."""
        numbers = [
            keyed(archs, np.asarray(seeds), metric, predicted.shape[1]) for metric in range(len(self.metrics))
        ]
        return self._drawn(x, predicted, numbers)

    def sample(self, x: Floats, predicted: Floats, n: int, stream: Generator) -> Floats:
        """Return ``n`` independent curves of each architecture, (rows, n, E, M)."""
        numbers = [streamed(n * len(x), predicted.shape[1], stream) for _ in self.metrics]
        noisy_curves = self._drawn(np.repeat(x, n, axis=0), np.repeat(predicted, n, axis=0), numbers)
        return noisy_curves.reshape(len(x), n, *predicted.shape[1:])

    def _drawn(self, x: Floats, predicted: Floats, numbers: Sequence[Draws]) -> Floats:
        noisy_curves = predicted.copy()
        for metric, draws in enumerate(numbers):
            mean = predicted[:, :, metric]
            noisy_curves[:, :, metric] += self.models[metric].deviate(x, mean, draws)
            if self._spiky(metric):
                noisy_curves[:, :, metric] += self.spikes[metric].dips(x, mean, draws)
            # Noise may lead beyond what an accuracy can be; the clip keeps draws possible.
            top = 100.0 if self.metrics[metric].endswith("/acc") else np.inf
            noisy_curves[:, :, metric] = np.clip(noisy_curves[:, :, metric], 0, top)
        return noisy_curves

    def _spiky(self, metric: int) -> bool:
        return self.with_spikes and self.metrics[metric].endswith("/acc")

    def state(self) -> State:
        """Return all arrays and texts."""
        arrays: State = {}
        for metric, model in enumerate(self.models):
            arrays |= {f"{metric}/noise/{name}": value for name, value in model.state().items()}
            if self._spiky(metric):
                spikes = self.spikes[metric].state()
                arrays |= {f"{metric}/spikes/{name}": value for name, value in spikes.items()}
        return arrays

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore ``state``."""
        for metric, model in enumerate(self.models):
            model.load(below(state, f"{metric}/noise/"))
            if self._spiky(metric):
                self.spikes[metric].load(below(state, f"{metric}/spikes/"))
