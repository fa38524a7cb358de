"""Tables of volumes, one row for each arm and one for real scenes."""

from collections.abc import Mapping, Sequence

from sevenfold.records import Record, summarize
from sevenfold.study import Table

COLUMNS = {
    "calls": "calls",
    "nearest": "nearest",
    "joint": "joint",
    "agreement": "agreement",
    "diversity": "diversity",
    "energy": "energy",
    "janus": "janus",
    "depth_agreement": "depth agreement",
    "seconds": "seconds",
}
DIVERSE = 0.5  # below it nearness to known scenes is collapse
HEADLINE = ("calls", "nearest", "agreement", "diversity", "energy", "janus", "depth_agreement")
EXPLAINED = [
    "calls: of the prior, per sample. nearest: RMSE to the nearest known scene, view by view; joint: to one "
    "scene in all; agreement: share of views with the same nearest scene; diversity: distance between "
    "samples relative to real scenes; energy: distance of laws to real ones, 0 is equal; janus: share of "
    "samples whose back looks like a front; depth agreement: share of solid pixels whose "
    "depth the neighboring view confirms."
]


def headline(records: Sequence[Record], real: Mapping[str, float], arms: Sequence[str]) -> Table:
    """Return the main figures."""
    return _rows(records, real, arms, HEADLINE)


def verdict(records: Sequence[Record], real: Mapping[str, float], arms: Sequence[str]) -> list[str]:
    """Return which diverse arm is nearest to known scenes, and which arm has the least diversity."""
    numbers = summarize(records)
    means = {
        arm: (numbers[f"{arm}/nearest/mean"], numbers[f"{arm}/diversity/mean"])
        for arm in arms
        if f"{arm}/nearest/mean" in numbers and f"{arm}/diversity/mean" in numbers
    }
    if not means:
        return []
    diverse = {arm: each for arm, each in means.items() if each[1] >= DIVERSE} or means
    best, least = min(diverse, key=lambda arm: diverse[arm][0]), min(means, key=lambda arm: means[arm][1])
    beside = f" (real scenes {real['nearest']:.3g})" if "nearest" in real else ""
    return [
        f"Of the arms with at least half of the diversity of real scenes {best} is nearest to known scenes: "
        f"RMSE {means[best][0]:.3g}{beside}, diversity {means[best][1]:.2f}.",
        f"{least} has the least diversity, {means[least][1]:.2f}.",
    ]


def table(records: Sequence[Record], real: Mapping[str, float], arms: Sequence[str]) -> Table:
    """Return all figures that are compared with real scenes, and the time."""
    return _rows(records, real, arms, tuple(COLUMNS))


def _rows(
    records: Sequence[Record], real: Mapping[str, float], arms: Sequence[str], names: Sequence[str]
) -> Table:
    numbers = summarize(records)

    def cell(arm: str, name: str) -> str:
        mean, deviation = (numbers.get(f"{arm}/{name}/{part}") for part in ("mean", "std"))
        return "-" if mean is None else f"{mean:.3g}" + (f" ({deviation:.2g})" if deviation else "")

    groups = {record["group"] for record in records}
    rows = [[arm, *(cell(arm, name) for name in names)] for arm in arms if arm in groups]
    bar = [f"{real[name]:.3g}" if name in real else "-" for name in names]
    return [["arm", *(COLUMNS[name] for name in names)], *rows, ["real scenes", *bar]]


def scalars(records: Sequence[Record], real: Mapping[str, float]) -> dict[str, float]:
    """Return means over seeds, without times, and the figures of real scenes as a reference."""
    # times differ between machines and are no result
    means = {name: v for name, v in summarize(records).items() if name.split("/")[-2] != "seconds"}
    return means | {f"reference/real/{name}": value for name, value in real.items()}
