"""Debiasing of trained networks: measures, objectives, and methods that change weights or decisions.

``METHODS`` change weights and a threshold (:mod:`intra`); ``POSTPROCESSORS`` see scores and the protected
attribute (:mod:`post`). Nothing heavy is imported here.
"""

from sevenfold.tables import ComponentTable

METHODS = ComponentTable(
    {
        "adversarial": "sevenfold.fairness.intra.adversarial:Adversarial",
        "base": "sevenfold.fairness.intra.controls:Base",
        "constant": "sevenfold.fairness.intra.controls:Constant",
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
        "reject_option": "sevenfold.fairness.post.reject_option:RejectOption",
    },
    holds="methods that change decisions",
)
