"""LcSVR: support vector regression on features of the curve (Baker et al. 2017, as in NAS-Bench-x11)."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.random import Generator

from sevenfold.config import ConfigError
from sevenfold.nas.lce.base import Floats
from sevenfold.nas.lce.features import published_features
from sevenfold.nas.lce.learned import Learned

FOLDS = 3
KEPT = 8
STEPS = 20_000  # of the solver, for draws that do not converge


class LcSVR(Learned):
    """nu-SVR with a radial kernel, hyper-parameters drawn at random and chosen by three-fold R2.

    ``improved`` takes few, smooth features, standardizes them and the targets, draws C up to 1000, averages
    the ``KEPT`` best draws and leaves out trainings at chance. ``compat`` follows the released code: all
    values and differences, raw, targets in percent, C up to 10, one winner, no gate; it ranks worse than the
    last value seen and is here for comparison.
    """

    def __init__(
        self,
        *,
        preset: Literal["improved", "compat"] = "improved",
        draws: int = 100,
        chance: float | None = 10.0,
        losses: bool = False,
    ) -> None:
        if draws < 1:
            raise ConfigError("draws", f"must be at least 1, got {draws}")
        super().__init__(chance=chance if preset == "improved" else None, losses=losses)
        self.improved, self.draws = preset == "improved", draws
        if not self.improved:
            self.features = published_features

    def regression(self, features: Floats, targets: Floats, stream: Generator) -> Any:
        """Try all draws on the same folds; fit the best to everything."""
        folds = stream.permutation(len(targets)) % FOLDS
        candidates = [self._draw(stream) for _ in range(self.draws)]
        scores = [_cross_validated(model, features, targets, folds) for model in candidates]
        best = np.argsort(scores, kind="stable")[::-1][: KEPT if self.improved else 1]
        with quiet():
            return Average([candidates[k].fit(features, targets) for k in best])

    def _draw(self, stream: Generator) -> Any:
        from sklearn.compose import TransformedTargetRegressor
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import NuSVR

        if not self.improved:
            c, gamma = 10 ** stream.uniform(-5, 1, 2)
            return NuSVR(C=c, gamma=gamma, nu=1 - stream.random(), max_iter=STEPS)
        c, gamma = 10 ** stream.uniform(-2, 3), 10 ** stream.uniform(-5, -1)
        model = NuSVR(C=c, gamma=gamma, nu=stream.uniform(0.3, 1), max_iter=STEPS)
        scaled = make_pipeline(StandardScaler(), model)
        return TransformedTargetRegressor(scaled, transformer=StandardScaler())


class Average:
    """The mean prediction of several regressions."""

    def __init__(self, models: list[Any]) -> None:
        self.models = models

    def predict(self, features: Floats) -> Floats:
        """Return it, (n,)."""
        return np.asarray(np.mean([model.predict(features) for model in self.models], axis=0))


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
