"""The prior-fitted network and ridge regression pooled, each by how well it predicts the known trainings."""

from typing import Self

import numpy as np
from numpy.random import Generator
from scipy.special import expit

from sevenfold.errors import InputError
from sevenfold.nas.lce.base import Extrapolator, Floats, Seen
from sevenfold.nas.lce.density import Density, Pooled, StudentT, student_scale
from sevenfold.nas.lce.pfn.extrapolator import PFN
from sevenfold.nas.lce.ridge import Ridge
from sevenfold.ranges import Percent

FOLDS, FEWEST = 5, 5
FITTED = 1.0  # nats: ridge's scale was fitted to the residuals that judge it
LEAST = 0.02


class Pool(Extrapolator):
    """The median of a mixture of two posteriors: a prior-fitted network's and ridge regression's.

    With fewer than five known trainings above chance it is the network alone. Trainings that are predicted
    together are judged together, as by ``pfn``.

    Args:
        chance: accuracy of guessing, percent; trainings last observed at most 2 points above it are
            predicted by ridge regression to stay there; null: no such gate, as losses need.
        weights: of the network, a file of the recipe ``nas/train_curve_pfn``; null: those of the package.

    Example:
        >>> from sevenfold.nas.lce.base import Seen
        >>> rng, epochs = np.random.default_rng(0), np.arange(1, 31)
        >>> curves = rng.uniform(70, 90, (40, 1)) - 40 / epochs**0.7 + rng.normal(size=(40, 30))
        >>> model = Pool().fit(curves[:20], None, seen=10, end=30, stream=rng)
        >>> density = model.density(Seen(curves[20:, :10]))
        >>> inside = (density.quantile(0.1) < curves[20:, -1]) & (curves[20:, -1] < density.quantile(0.9))
        >>> bool(inside.mean() > 0.6), 0.02 <= model.weight <= 0.98
        (True, True)
    """

    together = True

    def __init__(self, *, chance: Percent | None = 10.0, weights: str | None = None) -> None:
        self.pfn, self.ridge = PFN(weights=weights), Ridge(chance=chance)
        self.weight = 1.0
        """Share of the network in the mixture."""

    def fit(self, curves: Floats, losses: Floats | None, *, seen: int, end: int, stream: Generator) -> Self:
        """Fit both parts and weigh them; fewer than five known trainings, or none, are legal."""
        self.weight = 1.0
        if len(curves) >= FEWEST:
            try:
                self.ridge.fit(curves, None, seen=seen, end=end, stream=stream)
            except InputError:  # too few above chance: nothing to fit
                self.pfn.fit(curves, None, seen=seen, end=end, stream=stream)
                return self
            scale = student_scale(self.ridge.residuals)
            ridge = StudentT(np.zeros(len(curves)), scale).log(self.ridge.residuals).sum()
            # w = 1 / (1 + e^-D): the posterior of two models of equal prior, D the difference of their
            # cross-validated log scores (pseudo Bayes factor: Geisser & Eddy 1979).
            pfn = self._cross_validated(curves, seen=seen, end=end, stream=stream)
            self.weight = float(np.clip(expit(pfn - ridge + FITTED), LEAST, 1 - LEAST))
        self.pfn.fit(curves, None, seen=seen, end=end, stream=stream)
        return self

    def predict(self, seen: Seen) -> Floats:
        """Return medians of the mixture."""
        return self.density(seen).quantile(0.5)

    def density(self, seen: Seen) -> Density:
        """Return the mixture."""
        posterior = self.pfn.density(seen)
        if self.weight == 1.0:
            return posterior
        return Pooled(posterior, self.ridge.density(seen), self.weight)

    def _cross_validated(self, curves: Floats, *, seen: int, end: int, stream: Generator) -> float:
        """Return the sum of the network's log densities of known ends, each fold from the others."""
        fold, total = np.arange(len(curves)) % FOLDS, 0.0
        for k in range(FOLDS):
            self.pfn.fit(curves[fold != k], None, seen=seen, end=end, stream=stream)
            part = curves[fold == k]
            total += float(self.pfn.density(Seen(part[:, :seen])).log(part[:, end - 1]).sum())
        return total
