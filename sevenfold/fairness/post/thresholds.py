"""Group thresholds by fairlearn's ThresholdOptimizer (Hardt et al. 2016; Weerts et al. 2023)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import Tensor

from sevenfold.fairness.objective import Objective

CONSTRAINTS = {"spd": "demographic_parity", "eod": "true_positive_rate_parity"}


class Scores(BaseEstimator):
    """A scikit-learn estimator whose prediction is its input, as fairlearn needs."""

    def fit(self, x: Any, y: Any) -> "Scores":
        """Mark the estimator as fitted."""
        self.fitted_ = True
        return self

    def predict(self, x: Any) -> NDArray[np.float64]:
        """Return the scores."""
        return np.asarray(x)[:, 0]


class FairlearnThresholds:
    """The best randomized thresholds by group: parity for SPD and EOD, equalized odds for the other measures.

    Args:
        relax: whether to allow a gap of epsilon (fairlearn's ``tol``), which equalized odds does not support.
    """

    def __init__(self, *, relax: bool = True) -> None:
        self.relax = relax

    def fit(self, scores: Tensor, y: Tensor, a: Tensor, objective: Objective) -> "FairlearnThresholds":
        """Fit fairlearn's optimizer."""
        from fairlearn.postprocessing import ThresholdOptimizer

        # A randomized threshold for each group: points on the ROC curves' convex hulls with equal rates
        # (Hardt, Price & Srebro 2016, section 4.2).
        constraint = CONSTRAINTS.get(objective.measure, "equalized_odds")
        self._optimizer = ThresholdOptimizer(
            estimator=Scores().fit(None, None),
            constraints=constraint,
            objective="balanced_accuracy_score",
            prefit=True,
            predict_method="predict",
            tol=objective.epsilon if self.relax and objective.measure in CONSTRAINTS else None,
        )
        x = scores.double().cpu().numpy()[:, None]
        self._optimizer.fit(x, y.cpu().numpy(), sensitive_features=a.cpu().numpy())
        return self

    def predict_proba(self, scores: Tensor, a: Tensor) -> Tensor:
        """Return the probability of deciding 1."""
        x = scores.double().cpu().numpy()[:, None]
        chances = self._optimizer._pmf_predict(x, sensitive_features=a.cpu().numpy())[:, 1]
        return torch.as_tensor(chances, device=scores.device)
