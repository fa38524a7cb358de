"""Verdict, tables and picture of the check of a prior."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sevenfold.files import replace_file
from sevenfold.records import Record
from sevenfold.study import Table

Parts = Mapping[str, Record]
ALIKE, SAME = 1e-3, 1e-5


def verdict(parts: Parts) -> list[str]:
    """Return what is right, or what to change, in sentences."""
    sentences = [*_of_curve(parts.get("curve")), *_of_search(parts.get("search"))]
    return [*sentences, *_of_behaviour(parts.get("behaviour"))]


def _of_curve(record: Record | None) -> list[str]:
    if record is None:
        return ["Without images of the prior's domain ('real') its error cannot be judged."]
    if record["too_high"]:
        levels = ", ".join(f"{level:g}" for level in record["too_high"])
        return [
            f"FAILS: at {levels} standard deviations of the data the denoiser is worse than the best linear "
            "one: it is read wrongly, or hardly trained."
        ]
    worst = max(row["ratio"] for row in record["rows"] if 0.1 <= row["level"] <= 2)
    weak = (
        f" It is fitted to {record['fitted']} images of {record['values']} values, a weak bound: give more."
        if record["fitted"] < record["values"]
        else ""
    )
    return [f"Passes: at most {worst:.2f} of the error of the best linear denoiser.{weak}"]


def _of_search(record: Record | None) -> list[str]:
    if record is None or not record["trials"]:
        return []
    if record["steps"]:
        changes = "; then ".join(
            step["line"]
            + (
                ""
                if step["difference"] is None
                else f" (ln error {step['difference']:+.2f} +- {step['error']:.2f})"
            )
            for step in record["steps"]
        )
        return [f"FAILS: change {changes}."]
    open_lines = [trial["line"] for trial in record["trials"] if trial["undecided"]]
    rest = f"; undecided between: as configured, {', '.join(open_lines)}" if open_lines else ""
    return [f"No other reading of the network is better{rest}."]


def _of_behaviour(record: Record | None) -> list[str]:
    if record is None:
        return []
    sentences = []
    if record["not_finite"]:
        sentences.append(f"FAILS: {record['not_finite']:.0%} of the values are not finite.")
    if record["again"] > SAME:
        sentences.append(f"FAILS: two equal calls differ by {record['again']:.1e} of the range.")
    if record["alone"] > ALIKE:
        sentences.append(f"FAILS: an image alone differs by {record['alone']:.1e} of the range.")
    return sentences


def headline(parts: Parts) -> Table:
    """Return the curve; without images what the denoiser does."""
    if "curve" not in parts:
        rows = [
            [name, f"{parts['behaviour'][name]:.2g}"]
            for name in ("not_finite", "alone", "again", "outside")
            if "behaviour" in parts
        ]
        return [["", "share or difference"], *rows]
    names = ("level", "network", "linear", "ratio")
    rows = [[f"{row[name]:.3g}" for name in names] for row in parts["curve"]["rows"]]
    return [["noise / data std", "error of the network", "best linear", "ratio"], *rows]


def trial_table(trials: Sequence[Mapping[str, Any]]) -> Table:
    """Return a row for each alternative, the nearest first."""
    rows = [["alternative", "score", "difference", "std. error", ""]]
    for trial in trials:
        figures = (trial["score"], trial["difference"], trial["error"])
        texts = ["refused" if value is None else f"{value:.3f}" for value in figures]
        rows.append([trial["line"], *texts, "undecided" if trial["undecided"] else ""])
    return rows


def scalars(parts: Parts) -> dict[str, Any]:
    """Return the figures by name."""
    figures: dict[str, Any] = {}
    if "curve" in parts:
        figures |= {f"ratio/{row['level']:g}": row["ratio"] for row in parts["curve"]["rows"]}
        if parts["curve"]["class_gain"] is not None:
            figures["class_gain"] = parts["curve"]["class_gain"][0]
    if parts.get("search", {}).get("trials"):
        figures |= {"score": parts["search"]["score"], "changes": len(parts["search"]["steps"])}
    names = ("not_finite", "alone", "again", "outside")
    return figures | {name: parts["behaviour"][name] for name in names if "behaviour" in parts}


def draw(parts: Parts, path: Path) -> bool:
    """Draw both errors over noise; False without a curve."""
    if "curve" not in parts:
        return False
    from matplotlib.figure import Figure

    rows = parts["curve"]["rows"]
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    levels = [row["level"] for row in rows]
    axes.axvspan(0.1, 2, color="0.93")
    axes.plot(levels, [row["network"] for row in rows], "o-", label="the prior", ms=4)
    axes.plot(levels, [row["linear"] for row in rows], "s--", color="0.4", label="best linear denoiser", ms=4)
    axes.set(
        xscale="log", yscale="log", xlabel="noise / standard deviation of the data",
        ylabel="squared error of the noise", title="A right prior is below the line where it is gray",
    )  # fmt: skip
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    return True
