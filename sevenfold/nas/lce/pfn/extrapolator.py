"""The posterior of a training's end from known curves, in one pass (Adriaensen et al. 2023)."""

from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from sevenfold import zoo
from sevenfold.errors import InputError
from sevenfold.nas.lce.base import Extrapolator, Floats, Seen
from sevenfold.nas.lce.pfn.tokens import BARS, REACH, WIDTH, tokens
from sevenfold.nas.lce.pfn.weights import read_weights


class BarDensity:
    """A density for each of n trainings: bars of u = asinh((y - m) / s) within [-5, 5].

    Args:
        bars: probabilities (n, 128).
        center: m, in the unit of y.
        scale: s, in the unit of y.

    >>> density = BarDensity(np.full((1, 128), 1 / 128), 70.0, 5.0)
    >>> density.quantile(0.5).round(6).tolist(), density.above(70.0).round(6).tolist()
    ([70.0], [0.5])
    """

    def __init__(self, bars: Floats, center: float, scale: float) -> None:
        self.bars, self.center, self.scale = bars, center, scale
        zero = np.zeros((len(bars), 1))
        self._below = np.concatenate([zero, bars.cumsum(1) / bars.sum(1, keepdims=True)], 1)

    def log(self, y: Floats) -> Floats:
        """Return ln of the densities at y (n,), nats in the unit of y.

        Values beyond |u| = 5 count into the outermost bar, as they did in training.
        """
        z = (np.asarray(y) - self.center) / self.scale
        place = ((np.arcsinh(z) + REACH) / WIDTH).astype(int).clip(0, BARS - 1)
        # p(y) = p(u) du/dy, du/dy = 1 / (s sqrt(1 + z^2)): change of variables.
        bar = self.bars[np.arange(len(self.bars)), place]
        return np.asarray(np.log(bar / WIDTH) - np.log(self.scale * np.sqrt(1 + z**2)))

    def quantile(self, p: float) -> Floats:
        """Return the value below which the share ``p`` lies, (n,)."""
        place = (self._below[:, 1:-1] <= p).sum(1)
        rows = np.arange(len(self.bars))
        low, high = self._below[rows, place], self._below[rows, place + 1]
        u = -REACH + WIDTH * (place + (p - low) / np.maximum(high - low, 1e-12))
        return np.asarray(self.center + self.scale * np.sinh(u))

    def above(self, y: Floats | float) -> Floats:
        """Return the probability of more than ``y``, one value or one a training, (n,)."""
        u = np.broadcast_to(np.arcsinh((np.asarray(y) - self.center) / self.scale), len(self.bars))
        place = ((u + REACH) / WIDTH).clip(0, BARS)
        left, rows = np.minimum(place.astype(int), BARS - 1), np.arange(len(u))
        low, high = self._below[rows, left], self._below[rows, left + 1]
        return np.asarray(1 - low - (place - left) * (high - low))


class PFN(Extrapolator):
    """The median of the posterior that a prior-fitted network gives, from any number of known curves.

    Center and scale of its unit come from all curves at once: trainings given together are judged together.

    Args:
        weights: a file of the recipe ``nas/train_curve_pfn``; null: those of the package (``nas/curve-pfn``).

    Example:
        >>> from sevenfold.nas.lce.base import Seen
        >>> epochs = np.arange(1, 31)
        >>> curves = 90 - np.array([[30.0], [40.0], [50.0]]) / epochs**0.5
        >>> model = PFN().fit(curves[:0], None, seen=10, end=30, stream=np.random.default_rng(0))
        >>> model.predict(Seen(curves[:, :10])).argsort().tolist()  # from no whole curve at all
        [2, 1, 0]
    """

    together = True

    def __init__(self, *, weights: str | None = None) -> None:
        if weights is None:
            weights = str(zoo.weights(zoo.card("nas/curve-pfn")))
        self.network = read_weights(Path(weights))
        self.context: Floats = np.zeros((0, 0))
        self.ends: Floats = np.zeros(0)
        self.end = 0

    def fit(self, curves: Floats, losses: Floats | None, *, seen: int, end: int, stream: Generator) -> Self:
        """Store the known curves; none, (0, E), are legal."""
        if not 0 < seen < end:
            raise InputError(f"seen is {seen} and end {end}: expected 0 < seen < end")
        _finite(curves[:, :end])
        self.context, self.ends, self.end = curves[:, :seen], curves[:, end - 1], end
        return self

    def predict(self, seen: Seen) -> Floats:
        """Return posterior medians."""
        return self.density(seen).quantile(0.5)

    def density(self, seen: Seen) -> BarDensity:
        """Return the posterior of the value at the end."""
        if not self.end:
            raise InputError("fit() comes first: it says which epoch is predicted (no curves are legal)")
        known, cut = len(self.context), seen.values.shape[1]
        if known and self.context.shape[1] != cut:
            raise InputError(f"fitted for {self.context.shape[1]} epochs seen, got {cut}")
        _finite(seen.values)
        rows = np.concatenate([self.context, seen.values]) if known else seen.values
        if not len(seen.values):
            return BarDensity(np.zeros((0, BARS)), 0.0, 1.0)
        values = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float64))[None]
        shape = values.shape[:2]
        cuts, horizons = torch.full(shape, cut), torch.full(shape, self.end)
        # Features in float64: differences of nearly equal accuracies must not depend on their unit.
        made = tokens(values, cuts, horizons, torch.tensor([self.end]), torch.ones(shape, dtype=torch.bool))
        u = made.targets(torch.from_numpy(self.ends)[None]).float()
        bars = self._bars(made.features.float(), u, known)
        return BarDensity(bars, float(made.center), float(made.scale))

    @torch.no_grad()
    def _bars(self, features: Tensor, u: Tensor, known: int) -> Floats:
        there = torch.ones(1, known, dtype=torch.bool)
        return np.asarray(self.network(features, u, there)[0].double().exp())


def _finite(values: NDArray[np.float64]) -> None:
    bad = (~np.isfinite(values)).any(axis=1).sum()
    if bad:
        raise InputError(f"{bad} of {len(values)} curves have values that are not finite: leave them out")
