"""The picture of landscapes with fewer trainings an architecture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sevenfold.records import Record

PANELS = {
    "minima": "local minima",
    "share_to_true_optimum": "climbs that end at the true optimum",
    "gap_mean": "mean true gap of the ends",
}


def draw_levels(path: Path, levels: Mapping[str, Sequence[Record]]) -> Path:
    """Draw what each level's draws have, one point a draw; return the path."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    for axes, (field, label) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        for place, records in enumerate(levels.values()):
            axes.scatter([place] * len(records), [record[field] for record in records], s=16, alpha=0.7)
        axes.set_xticks(range(len(levels)), [name.partition("/")[0] for name in levels])
        # From zero: a share or a gap has a meaningful one, and half as many looks like half.
        axes.set(xlabel="trainings averaged", ylabel=label, ylim=(0, None), xlim=(-0.5, len(levels) - 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path
