"""Spikes: single epochs at which the accuracy collapses and recovers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sevenfold.nas.x11.base import Floats, State
from sevenfold.nas.x11.noise.draws import Draws

DEEP = 5.0  # points, and multiples of the usual step
MOST = 6  # spikes of one curve


def neighbors_median(curves: Floats) -> Floats:
    """Return the median of the two epochs before and after each, itself left out, (n, E)."""
    padded = np.pad(curves, ((0, 0), (2, 2)), constant_values=np.nan)
    length = curves.shape[1]
    around = np.stack([padded[:, k : k + length] for k in (0, 1, 3, 4)])
    return np.asarray(np.nanmedian(around, axis=0))


def spikes(curves: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Return which epochs of curves (n, E) are spikes, and the depth below their neighbors' median.

    A spike lies deeper than 5 points and than 5 times the median absolute deviation of the curve's steps in
    the last four fifths of training, below the epoch before and, if there is one, the epoch after: the steep
    beginning of a curve is no collapse.
    """
    # Median filter (Tukey 1977): a collapse of one epoch stands out against the median of three.
    depth = neighbors_median(curves) - curves
    down = np.diff(curves, axis=1, prepend=-np.inf) < 0
    up = np.diff(curves, axis=1, append=np.inf) > 0
    steps = np.diff(curves, axis=1)[:, curves.shape[1] // 5 :]
    usual = np.median(np.abs(steps - np.median(steps, axis=1, keepdims=True)), axis=1, keepdims=True)
    return (depth > np.maximum(DEEP, DEEP * usual)) & down & up, depth


def without_spikes(curves: Floats) -> Floats:
    """Return curves with spikes replaced by the median of their neighbors."""
    mask, depth = spikes(curves)
    return np.where(mask, curves + depth, curves)


def spike_share(curves: Floats) -> float:
    """Return the share of curves with a spike."""
    return float(spikes(curves)[0].any(axis=1).mean())


def paper_spike_share(real: Floats, drawn: Floats) -> float:
    """Return the paper's statistic: the share of drawn curves whose fall from their maximum to the end
    exceeds what fewer than 5 % of real curves exceed; 0.05 is ideal.
    """
    fall = [curves.max(axis=1) - curves[:, -1] for curves in (real, drawn)]
    return float((fall[1] > np.quantile(fall[0], 0.95, method="higher")).mean())


class Spikes:
    """Rate from a logistic regression on encoding and final accuracy; places and depths as they occurred."""

    def __init__(self) -> None:
        self.weights = np.zeros(1)
        self.mean, self.scale = np.zeros(0), np.ones(0)
        self.places, self.depths = np.zeros(0, int), np.zeros(0)

    def fit(self, x: Floats, predicted: Floats, curves: Floats, stream: Generator) -> None:
        """Learn from real curves (n, E) with their encodings and predicted curves."""
        from sklearn.linear_model import LogisticRegression

        mask, depth = spikes(curves)
        self.places, self.depths = np.nonzero(mask)[1], depth[mask]
        features, any_spike = np.column_stack([x, predicted[:, -1]]), mask.any(axis=1)
        self.mean, self.scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
        count = mask.sum(axis=1)
        # of those that spike, on average how many times; a Poisson number given at least one
        self.rate = float(count[any_spike].mean()) if any_spike.any() else 0.0
        self.weights = np.append(np.zeros(features.shape[1]), -np.inf)
        if any_spike.sum() >= 5 and not any_spike.all():
            # P(spike) = 1 / (1 + exp(-w^T x - b)), strongly regularized: few curves spike.
            model = LogisticRegression(C=0.1, max_iter=500).fit(
                (features - self.mean) / self.scale, any_spike
            )
            self.weights = np.append(model.coef_[0], model.intercept_)
        elif any_spike.any():
            share = np.clip(any_spike.mean(), 1e-3, 1 - 1e-3)
            self.weights[-1] = np.log(share / (1 - share))

    def probability(self, x: Floats, predicted: Floats) -> Floats:
        """Return the probability that a curve has a spike, (n,)."""
        if not len(self.places):
            return np.zeros(len(x))
        features = (np.column_stack([x, predicted[:, -1]]) - self.mean) / self.scale
        return np.asarray(1 / (1 + np.exp(-(features @ self.weights[:-1] + self.weights[-1]))))

    def dips(self, x: Floats, predicted: Floats, draws: Draws) -> Floats:
        """Return what spikes add to curves, (n, E), zero on average at every epoch."""
        total = np.zeros_like(predicted)
        if not len(self.places):
            return total
        rate, u = self.probability(x, predicted), draws.uniform[:, -3 - 2 * MOST :]
        spiky = u[:, 0] < rate
        extra = np.minimum(_poisson(u[:, 1], max(self.rate - 1, 0.0)), MOST - 1)
        epochs = predicted.shape[1]
        for k in range(MOST):
            which = np.flatnonzero(spiky & (k <= extra))
            pick = (u[which, 2 + k] * len(self.places)).astype(int)
            places = np.minimum(self.places[pick], epochs - 1)
            depth = self.depths[(u[which, 2 + MOST + k] * len(self.depths)).astype(int)]
            total[which, places] = np.minimum(total[which, places], -depth)
        histogram = np.bincount(self.places, minlength=epochs)[:epochs] / len(self.places)
        usual = min(max(self.rate, 1.0), MOST) * self.depths.mean() * histogram
        return np.asarray(total + rate[:, None] * usual)

    def state(self) -> State:
        """Return everything as arrays."""
        return {
            "weights": self.weights, "mean": self.mean, "scale": self.scale, "places": self.places,
            "depths": self.depths, "rate": np.array(self.rate),
        }  # fmt: skip

    def load(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        for name in ("weights", "mean", "scale", "places", "depths"):
            setattr(self, name, state[name])
        self.rate = float(state["rate"])


def _poisson(u: Floats, rate: float) -> NDArray[np.int64]:
    """Return Poisson numbers of uniform ones, up to ``MOST``."""
    steps = np.arange(MOST)
    factorial = np.cumprod(np.maximum(steps, 1))
    return np.searchsorted(np.cumsum(np.exp(-rate) * rate**steps / factorial), u)
