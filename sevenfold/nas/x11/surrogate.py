"""Everything that a query needs: the ensemble, its noise, and how observed epochs correct it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import Ints
from sevenfold.nas.x11.base import Floats, State, below
from sevenfold.nas.x11.conditioning import Conditioning
from sevenfold.nas.x11.ensemble import Ensemble, upper_bounds
from sevenfold.nas.x11.noise.noisy import NoisyCurves
from sevenfold.nas.x11.tensor import CurveTensor, class_keys
from sevenfold.seeding import numpy_generator

GAUSS = {"name": "gauss"}


class Surrogate:
    """An ensemble with noise; ``curves`` answers whole populations at once."""

    def __init__(
        self, ensemble: Ensemble, *, noise: Mapping[str, Any] = GAUSS, spikes: bool = True, folds: int = 3
    ) -> None:
        self.ensemble, self.noise_node, self.with_spikes, self.folds = ensemble, dict(noise), spikes, folds
        self.noise = NoisyCurves(noise, ensemble.metrics, with_spikes=spikes)
        self.conditioning = [Conditioning() for _ in ensemble.metrics]

    def fit(self, tensor: CurveTensor) -> None:
        """Fit the ensemble to mean curves, then what it leaves unexplained."""
        self.ensemble.fit(tensor.archs, tensor.means())
        self.fit_rest(tensor)

    def fit_rest(self, tensor: CurveTensor) -> None:
        """Fit noise and conditioning to predictions of models that have not seen the architecture."""
        # Residuals of curves that a model was fitted to are too small: noise and conditioning learn from
        # networks that their model has not seen.
        predicted = out_of_fold(self.ensemble, tensor, self.folds)
        x, stream = self.ensemble.encode(tensor.archs), numpy_generator(self.ensemble.seed, "noise")
        self.noise.fit(x, predicted, tensor.values, stream)
        first = tensor.values[np.arange(len(x)), (~np.isnan(tensor.values[:, :, 0, 0])).argmax(axis=1)]
        for metric, conditioning in enumerate(self.conditioning):
            conditioning.fit(first[:, :, metric] - predicted[:, :, metric])

    def curves(
        self,
        archs: Ints,
        *,
        seeds: Sequence[int] | None = None,
        observed: Mapping[int, Any] | None = None,
        metric: int = 0,
    ) -> Floats:
        """Return curves (n, E, M): denoised, or where ``seeds`` (n,) are given, one training of each seed.

        ``observed`` maps epochs (from 1) to values (n,) of the ``metric``-th metric that were measured; the
        other epochs of that metric follow them.
        """
        return self.curves_encoded(
            self.ensemble.encode(archs), archs, seeds=seeds, observed=observed, metric=metric
        )

    def curves_encoded(
        self,
        x: Floats,
        archs: Ints,
        *,
        seeds: Sequence[int] | None = None,
        observed: Mapping[int, Any] | None = None,
        metric: int = 0,
    ) -> Floats:
        """Return the same for encodings (n, d); ``archs`` are then only what noise is keyed by."""
        result = self.ensemble.mean_encoded(x)
        given: Floats | None = None
        epochs: list[int] = []
        if observed:
            epochs = [int(epoch) for epoch in observed]
            given = np.stack([np.broadcast_to(v, len(x)) for v in observed.values()], axis=1).astype(float)
            corrected = self.conditioning[metric].correct(result[:, :, metric], epochs, given)
            result[:, :, metric] = np.clip(corrected, 0, upper_bounds(self.ensemble.metrics)[metric])
        if seeds is not None:
            if len(seeds) != len(x):
                raise InputError(f"{len(x)} architectures need as many seeds, got {len(seeds)}")
            result = self.noise.draw(x, result, archs, seeds)
        if given is not None:
            result[:, np.array(epochs) - 1, metric] = given
        return result

    def options(self) -> dict[str, Any]:
        """Return what makes an equal, unfitted surrogate, but the space."""
        own = {"noise": self.noise_node, "spikes": self.with_spikes, "folds": self.folds}
        return {"ensemble": self.ensemble.options(), **own}

    def state(self) -> State:
        """Return all arrays and texts."""
        arrays = {f"ensemble/{name}": value for name, value in self.ensemble.state().items()}
        arrays |= {f"noise/{name}": value for name, value in self.noise.state().items()}
        for metric, conditioning in enumerate(self.conditioning):
            state = conditioning.state()
            arrays |= {f"conditioning/{metric}/{name}": value for name, value in state.items()}
        return arrays

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore ``state``."""
        self.ensemble.load(below(state, "ensemble/"))
        self.noise.load(below(state, "noise/"))
        for metric, conditioning in enumerate(self.conditioning):
            conditioning.load(below(state, f"conditioning/{metric}/"))


def out_of_fold(ensemble: Ensemble, tensor: CurveTensor, folds: int) -> Floats:
    """Return for every architecture the curve (n, E, M) that one member predicts which has seen neither it
    nor an equal network.
    """
    if folds < 2:
        raise InputError(f"folds is {folds}; out-of-sample predictions need at least 2")
    keys = np.unique(class_keys(tensor.space, tensor.archs), return_inverse=True)[1]
    fold = numpy_generator(ensemble.seed, "folds").permutation(keys.max() + 1)[keys] % folds
    means, predicted = tensor.means(), np.empty_like(tensor.values[:, 0])
    for k in range(folds):
        options = {**ensemble.options(), "members": 1, "bootstrap": False, "seed": ensemble.seed + 1 + k}
        part = Ensemble(ensemble.space, **options)
        part.fit(tensor.archs[fold != k], means[fold != k])
        predicted[fold == k] = part.predict(tensor.archs[fold == k])
    return predicted
