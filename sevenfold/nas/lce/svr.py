"""LcSVR: support vector regression on features of the curve (Baker et al. 2017, as in NAS-Bench-x11)."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.random import Generator

from sevenfold.nas.lce.base import Floats
from sevenfold.nas.lce.features import published_features
from sevenfold.nas.lce.learned import Learned
from sevenfold.ranges import Count, Percent

FOLDS = 3
BEST_DRAWS = 8
STEPS = 20_000  # of the solver, for draws that do not converge


class LcSVR(Learned):
    """nu-SVR with a radial kernel, hyper-parameters drawn at random and chosen by three-fold R2.

    The preset ``improved`` takes few, smooth features, standardizes them and the targets, draws C up to 1000,
    averages the best draws (``BEST_DRAWS``) and leaves out trainings at chance. ``compat`` is the released
    code: all values and differences, raw, targets in percent, C up to 10, one winner, no gate; it ranks worse
    than the last observed value.

    Args:
        preset: ``improved``, or ``compat`` with the released code, for comparison.
        draws: draws of the hyper-parameters.
    """

    def __init__(
        self,
        *,
        preset: Literal["improved", "compat"] = "improved",
        draws: Count = 100,
        chance: Percent | None = 10.0,
        losses: bool = False,
    ) -> None:
        super().__init__(chance=chance if preset == "improved" else None, losses=losses)
        self.improved, self.draws = preset == "improved", draws
        if not self.improved:
            self.features = published_features

    def regression(self, features: Floats, targets: Floats, stream: Generator) -> Any:
        """Try all draws on the same folds; fit the best to everything."""
        units = Units.of(features, targets) if self.improved else Units.raw(features)
        x, y = units.inputs(features), (targets - units.center) / units.spread
        folds = stream.permutation(len(y)) % FOLDS
        candidates = [self._draw(stream) for _ in range(self.draws)]
        scores = [_cross_validated(model, x, y, folds) for model in candidates]
        best = np.argsort(scores, kind="stable")[::-1][: BEST_DRAWS if self.improved else 1]
        with quiet():
            return Average(units, [candidates[k].fit(x, y) for k in best])

    def _draw(self, stream: Generator) -> Any:
        from sklearn.svm import NuSVR

        if not self.improved:
            # Log-uniform; nu is drawn from (0, 1], as the solver refuses 0.
            c, gamma = 10 ** stream.uniform(-5, 1, 2)
            return NuSVR(C=c, gamma=gamma, nu=1 - stream.random(), max_iter=STEPS)
        c, gamma = 10 ** stream.uniform(-2, 3), 10 ** stream.uniform(-5, -1)
        return NuSVR(C=c, gamma=gamma, nu=stream.uniform(0.3, 1), max_iter=STEPS)


class Units(NamedTuple):
    """Mean and standard deviation of features, (d,) each, and of targets."""

    mean: Floats
    scale: Floats
    center: float
    spread: float

    @classmethod
    def of(cls, features: Floats, targets: Floats) -> "Units":
        """Take them from a training set."""
        scale = features.std(axis=0)
        return cls(
            features.mean(axis=0), np.where(scale > 1e-12, scale, 1.0), targets.mean(), targets.std() or 1.0
        )

    @classmethod
    def raw(cls, features: Floats) -> "Units":
        """Leave everything as it is."""
        return cls(np.zeros(features.shape[1]), np.ones(features.shape[1]), 0.0, 1.0)

    def inputs(self, features: Floats) -> Floats:
        """Return standardized features."""
        return np.asarray((features - self.mean) / self.scale)


class Average:
    """The mean prediction of several machines with radial kernels, in plain arrays: a search asks often."""

    def __init__(self, units: Units, models: list[Any]) -> None:
        self.units = units
        self.parts = [
            (model.support_vectors_, model.dual_coef_[0], float(model.intercept_[0]), model.gamma)
            for model in models
        ]

    def predict(self, features: Floats) -> Floats:
        """Return it, (n,), in the targets' unit."""
        x = self.units.inputs(features)
        total = np.zeros(len(x))
        for vectors, dual, intercept, gamma in self.parts:
            # sum of dual * exp(-gamma |x - v|^2) + intercept, for all machines without scikit-learn's checks.
            square = (x**2).sum(1)[:, None] - 2 * x @ vectors.T + (vectors**2).sum(1)
            total += np.exp(-gamma * square) @ dual + intercept
        return total / len(self.parts) * self.units.spread + self.units.center


@contextmanager
def quiet() -> Iterator[None]:
    """Pass over draws that do not converge within ``STEPS``: they simply score badly."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _cross_validated(model: Any, features: Floats, targets: Floats, folds: np.ndarray) -> float:
    """Return the R2 of predictions for the fold that was left out."""
    predicted = np.empty_like(targets)
    with quiet():
        for fold in range(FOLDS):
            held = folds == fold
            predicted[held] = model.fit(features[~held], targets[~held]).predict(features[held])
    return float(1 - ((predicted - targets) ** 2).sum() / max(((targets - targets.mean()) ** 2).sum(), 1e-12))
