"""Debiasing of trained networks: measures, objectives, and methods that change weights or decisions.

``METHODS`` change weights and a threshold (:mod:`intra`); ``POSTPROCESSORS`` use scores and the protected
attribute (:mod:`post`). Importing this package does not import torch.
"""

from typing import TYPE_CHECKING

from sevenfold.lazy import lazy
from sevenfold.tables import ComponentTable

if TYPE_CHECKING:
    from sevenfold.fairness.confusion import Confusion
    from sevenfold.fairness.debiaser import Debiaser
    from sevenfold.fairness.groups import Groups
    from sevenfold.fairness.intra.adversarial import Adversarial
    from sevenfold.fairness.intra.base import Problem
    from sevenfold.fairness.intra.bias_score import BiasScore
    from sevenfold.fairness.intra.finetune import FineTune
    from sevenfold.fairness.intra.rank_one import RankOne
    from sevenfold.fairness.measures import bias
    from sevenfold.fairness.objective import Objective
    from sevenfold.fairness.post.equalized_odds import EqualizedOdds
    from sevenfold.fairness.post.group_thresholds import GroupThresholds
    from sevenfold.fairness.post.reject_option import RejectOption
    from sevenfold.fairness.studies.debias import DebiasStudy
    from sevenfold.fairness.threshold import best_threshold

METHODS = ComponentTable(
    {
        "adversarial": "sevenfold.fairness.intra.adversarial:Adversarial",
        "base": "sevenfold.fairness.intra.controls:Base",
        "bias_score": "sevenfold.fairness.intra.bias_score:BiasScore",
        "constant": "sevenfold.fairness.intra.controls:Constant",
        "erase": "sevenfold.fairness.intra.erase:Erase",
        "finetune": "sevenfold.fairness.intra.finetune:FineTune",
        "layerwise": "sevenfold.fairness.intra.layerwise:LayerWise",
        "random": "sevenfold.fairness.intra.random:RandomPerturbation",
        "rank_one": "sevenfold.fairness.intra.rank_one:RankOne",
        "representation": "sevenfold.fairness.intra.representation:Representation",
        "threshold_only": "sevenfold.fairness.intra.controls:ThresholdOnly",
    },
    holds="methods that change a network",
)

POSTPROCESSORS = ComponentTable(
    {
        "calibrated": "sevenfold.fairness.post.calibrated:CalibratedEqualizedOdds",
        "equalized_odds": "sevenfold.fairness.post.equalized_odds:EqualizedOdds",
        "fairlearn": "sevenfold.fairness.post.thresholds:FairlearnThresholds",
        "group_thresholds": "sevenfold.fairness.post.group_thresholds:GroupThresholds",
        "reject_option": "sevenfold.fairness.post.reject_option:RejectOption",
    },
    holds="methods that change decisions",
)

_PUBLIC = {
    "Adversarial": "sevenfold.fairness.intra.adversarial:Adversarial",
    "BiasScore": "sevenfold.fairness.intra.bias_score:BiasScore",
    "Confusion": "sevenfold.fairness.confusion:Confusion",
    "DebiasStudy": "sevenfold.fairness.studies.debias:DebiasStudy",
    "Debiaser": "sevenfold.fairness.debiaser:Debiaser",
    "EqualizedOdds": "sevenfold.fairness.post.equalized_odds:EqualizedOdds",
    "FineTune": "sevenfold.fairness.intra.finetune:FineTune",
    "GroupThresholds": "sevenfold.fairness.post.group_thresholds:GroupThresholds",
    "Groups": "sevenfold.fairness.groups:Groups",
    "Objective": "sevenfold.fairness.objective:Objective",
    "Problem": "sevenfold.fairness.intra.base:Problem",
    "RankOne": "sevenfold.fairness.intra.rank_one:RankOne",
    "RejectOption": "sevenfold.fairness.post.reject_option:RejectOption",
    "best_threshold": "sevenfold.fairness.threshold:best_threshold",
    "bias": "sevenfold.fairness.measures:bias",
}
__all__ = [
    "Adversarial",
    "BiasScore",
    "Confusion",
    "DebiasStudy",
    "Debiaser",
    "EqualizedOdds",
    "FineTune",
    "GroupThresholds",
    "Groups",
    "Objective",
    "Problem",
    "RankOne",
    "RejectOption",
    "best_threshold",
    "bias",
]
__getattr__, __dir__ = lazy(__name__, _PUBLIC)
