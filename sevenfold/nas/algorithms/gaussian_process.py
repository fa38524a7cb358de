"""Surrogates in closed form: Bayesian ridge regression, and Gaussian processes on distances."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sevenfold.config import ConfigError, schema
from sevenfold.errors import InputError
from sevenfold.nas.algorithms.acquisition import Acquisition, Prediction
from sevenfold.nas.algorithms.features import EncodedModel, padded
from sevenfold.nas.algorithms.posterior import posterior
from sevenfold.nas.algorithms.surrogate import Model, Round, Targets
from sevenfold.nas.encodings import DISTANCES, DistanceName, EncodingName
from sevenfold.nas.spaces.base import Ints, Space
from sevenfold.ranges import Count, Positive
from sevenfold.tables import component

RIDGE = (0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
NOISE = (0.001, 0.01, 0.03, 0.1, 0.3)
SCALES = (0.5, 1.0, 2.0, 4.0, 8.0)


class BayesianRidge(EncodedModel):
    """A linear function of an encoding with a normal prior on its weights.

    On a one-hot adjacency encoding the kernel counts what two architectures have in common.

    Args:
        ratios: variances of the noise, in units of the weights' variance, of which the one with the highest
            marginal likelihood is taken.
    """

    def __init__(
        self,
        *,
        encoding: EncodingName = "adj_onehot",
        cutoff: Count | None = None,
        ratios: list[Positive] = list(RIDGE),  # noqa: B006
        targets: Targets = "rank",
        acquisition: Acquisition = Acquisition(),
    ) -> None:
        super().__init__(encoding, cutoff, targets=targets, acquisition=acquisition)
        self.ratios = _listed(ratios, "ratios")

    def predictions(
        self, space: Space, rounds: Sequence[Round], targets: NDArray[np.float64]
    ) -> list[Prediction]:
        """Predict from the linear posterior."""
        rows = np.stack(self.features.each(space, [r.archs for r in rounds])).astype(float)
        new = self.features.each(space, [r.candidates for r in rounds])
        return linear(rows, new, targets, self.ratios)


def linear(
    rows: NDArray[np.float64],
    new: Sequence[NDArray[np.floating]],
    targets: NDArray[np.float64],
    ratios: list[float],
) -> list[Prediction]:
    """Return the posterior of a linear function of features, rows (T, n, d), at new ones, T times (m, d)."""
    unseen = padded(new).astype(float)
    # f = w^T x with w ~ N(0, 1): k(x, x') = x^T x' (Rasmussen and Williams 2006, section 2.1).
    kernel, cross = rows @ rows.transpose(0, 2, 1), rows @ unseen.transpose(0, 2, 1)
    result = posterior(kernel[None], cross[None], (unseen**2).sum(axis=2)[None], targets, ratios, None)
    return [Prediction(m[: len(x)], s[: len(x)]) for m, s, x in zip(*result, new, strict=True)]


class GaussianProcess(Model):
    """A Gaussian process with covariance exp(-d / scale) of a distance d between architectures.

    Args:
        distance: distance between two architectures.
        cutoff: coordinates of the encoding that a truncated distance compares, the leading ones; null: its
            default.
        scales: length scales, in units of the distance, of which the one with the highest marginal likelihood
            is taken.
        ratios: variances of the noise, in units of the signal's variance, of which the one with the highest
            marginal likelihood is taken.
        signal: standard deviation of the signal; null: the most likely one, in closed form.
    """

    def __init__(
        self,
        *,
        distance: DistanceName = "adj",
        cutoff: Count | None = None,
        scales: list[Positive] = list(SCALES),  # noqa: B006
        ratios: list[Positive] = list(NOISE),  # noqa: B006
        signal: Positive | None = None,
        targets: Targets = "rank",
        acquisition: Acquisition = Acquisition(),
    ) -> None:
        super().__init__(targets=targets, acquisition=acquisition)
        function = component(DISTANCES, distance, "distance")
        if cutoff is not None and "cutoff" not in schema(function):
            raise ConfigError("cutoff", f"belongs to a truncated distance, not to '{distance}'")
        self.distance = partial(function, **({} if cutoff is None else {"cutoff": cutoff}))
        self.scales, self.ratios = _listed(scales, "scales"), _listed(ratios, "ratios")
        self.signal = signal

    def check(self, space: Space) -> None:
        """Refuse a space without the distance."""
        archs = space.sample(np.random.default_rng(0), 1)
        self._distances(space, archs, archs)

    def predictions(
        self, space: Space, rounds: Sequence[Round], targets: NDArray[np.float64]
    ) -> list[Prediction]:
        """Predict from the posterior of the process."""
        within = np.stack([self._distances(space, r.archs, r.archs) for r in rounds])
        across = padded([self._distances(space, r.candidates, r.archs) for r in rounds])
        scales = np.array(self.scales)[:, None, None, None]
        result = posterior(
            np.exp(-within / scales),
            np.exp(-across.transpose(0, 2, 1) / scales),
            np.ones((len(scales), *across.shape[:2])),
            targets,
            self.ratios,
            self.signal,
        )
        sizes = [len(r.candidates) for r in rounds]
        return [Prediction(m[:size], s[:size]) for m, s, size in zip(*result, sizes, strict=True)]

    def _distances(self, space: Space, first: Ints, second: Ints) -> NDArray[np.float64]:
        try:
            distances = self.distance(space, first, second)
        except InputError as error:
            raise ConfigError("distance", str(error)) from None
        return np.asarray(distances, float)


def _listed(values: list[float], option: str) -> list[float]:
    if not values:
        raise ConfigError(option, "needs at least one number")
    return values
