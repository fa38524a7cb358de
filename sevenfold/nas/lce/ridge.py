"""Ridge regression on features of the curve."""

from typing import Any

import numpy as np
from numpy.random import Generator

from sevenfold.nas.lce.base import Floats
from sevenfold.nas.lce.learned import Learned


class Ridge(Learned):
    """Ridge regression on features of the curve, its penalty chosen by leave-one-out cross-validation."""

    def regression(self, features: Floats, targets: Floats, stream: Generator) -> Any:
        """Fit on standardized features."""
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        # min_w |y - X w|^2 + lambda |w|^2 (Hoerl and Kennard 1970).
        return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 29))).fit(features, targets)
