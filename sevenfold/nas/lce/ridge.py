"""Ridge regression on features of the curve."""

from typing import Any, Self

import numpy as np
from numpy.random import Generator

from sevenfold.nas.lce.base import Floats, Seen
from sevenfold.nas.lce.density import StudentT, student_scale
from sevenfold.nas.lce.learned import Learned, above_chance

PENALTIES = np.logspace(-3, 4, 29)


class Ridge(Learned):
    """Ridge regression on features of the curve, its penalty chosen by leave-one-out cross-validation."""

    def regression(self, features: Floats, targets: Floats, stream: Generator) -> Any:
        """Fit on standardized features."""
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        # min_w |y - X w|^2 + lambda |w|^2 (Hoerl and Kennard 1970).
        ridge = RidgeCV(PENALTIES, store_cv_results=True)
        return make_pipeline(StandardScaler(), ridge).fit(features, targets)

    def fit(self, curves: Floats, losses: Floats | None, *, seen: int, end: int, stream: Generator) -> Self:
        """Fit the regression to the trainings above chance."""
        super().fit(curves, losses, seen=seen, end=end, stream=stream)
        alive = above_chance(Seen(curves[:, :seen]), self.chance)
        self.residuals: Floats = np.abs(curves[:, end - 1] - (self.chance or 0.0))
        """Absolute errors (n,) of each known training by a regression without it."""
        ridge = self.model[-1]
        squares = ridge.cv_results_[:, np.searchsorted(PENALTIES, ridge.alpha_)]
        self.residuals[alive] = np.sqrt(squares)
        return self

    def density(self, seen: Seen) -> StudentT:
        """Return Student's t around predictions, with the scale of the leave-one-out residuals."""
        return StudentT(self.predict(seen), student_scale(self.residuals))
