"""Learning-curve extrapolation: what a training will come to, from its first epochs."""

from sevenfold.tables import ComponentTable

EXTRAPOLATORS = ComponentTable(
    {
        "best": "sevenfold.nas.lce.baselines:Best",
        "last": "sevenfold.nas.lce.baselines:Last",
        "mean_last": "sevenfold.nas.lce.baselines:MeanOfLast",
        "pow3": "sevenfold.nas.lce.pow3:Pow3",
        "ridge": "sevenfold.nas.lce.ridge:Ridge",
        "svr": "sevenfold.nas.lce.svr:LcSVR",
        "tse": "sevenfold.nas.lce.baselines:TSE",
        "wpm": "sevenfold.nas.lce.wpm:WPM",
    },
    holds="extrapolators of learning curves",
)

SEARCHES = ComponentTable(
    {
        "bohb": "sevenfold.nas.lce.bohb:BOHB",
        "filtered": "sevenfold.nas.lce.multifidelity:Filtered",
        "hyperband": "sevenfold.nas.lce.hyperband:Hyperband",
    },
    holds="searches that stop trainings early",
)
