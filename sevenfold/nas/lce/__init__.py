"""Learning-curve extrapolation: the final accuracy of a training, predicted from its first epochs."""

from typing import Annotated

from sevenfold.config import Node
from sevenfold.tables import ComponentTable, OneOf

EXTRAPOLATORS = ComponentTable(
    {
        "best": "sevenfold.nas.lce.baselines:Best",
        "last": "sevenfold.nas.lce.baselines:Last",
        "mean_last": "sevenfold.nas.lce.baselines:MeanOfLast",
        "pfn": "sevenfold.nas.lce.pfn.extrapolator:PFN",
        "pool": "sevenfold.nas.lce.pool:Pool",
        "pow3": "sevenfold.nas.lce.pow3:Pow3",
        "ridge": "sevenfold.nas.lce.ridge:Ridge",
        "svr": "sevenfold.nas.lce.svr:LcSVR",
        "tse": "sevenfold.nas.lce.baselines:TSE",
        "wpm": "sevenfold.nas.lce.wpm:WPM",
    },
    holds="extrapolators of learning curves",
)

ExtrapolatorNode = Annotated[Node, OneOf("sevenfold.nas.lce:EXTRAPOLATORS")]
"""Name and options of an extrapolator of learning curves."""

SEARCHES = ComponentTable(
    {
        "bohb": "sevenfold.nas.lce.bohb:BOHB",
        "filtered": "sevenfold.nas.lce.multifidelity:Filtered",
        "hyperband": "sevenfold.nas.lce.hyperband:Hyperband",
    },
    holds="searches that stop trainings early",
)

SearchNode = Annotated[Node, OneOf("sevenfold.nas.lce:SEARCHES")]
"""Name and options of a search that stops trainings early."""
