"""Pictures of a comparison of debiasing methods: accuracy against bias."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sevenfold.fairness.studies.debias_summary import Settings, uses_attribute
from sevenfold.records import Record


def draw_all(settings: Settings, folder: Path) -> list[Path]:
    """Draw one picture of each setting into a folder; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for setting, by_label in settings.items():
        pictures.append(folder / f"pareto_{setting.replace('/', '_')}.png")
        draw(by_label, setting, pictures[-1])
    return pictures


def draw(by_label: Mapping[str, Sequence[Record]], title: str, path: Path) -> None:
    """Draw test balanced accuracy against |bias|, with the bound and the constant decision.

    Networks are small marks, the mean over networks of each method a large one.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    axes, colors = figure.subplots(), colormaps["tab20"]
    for i, (label, records) in enumerate(by_label.items()):
        bias, accuracy = ([record[name] for record in records] for name in ("abs_mu", "balanced_accuracy"))
        marker = "s" if uses_attribute(records) else "o"
        axes.scatter(bias, accuracy, s=10, color=colors(i % 20), alpha=0.4, marker=marker, linewidths=0)
        middle = sum(bias) / len(bias), sum(accuracy) / len(accuracy)
        axes.scatter(*middle, s=70, color=colors(i % 20), label=label, marker=marker, edgecolors="black")
    epsilon = float(title.rpartition("@")[2])
    axes.axvspan(0, epsilon, color="tab:green", alpha=0.08)
    # A constant decision has balanced accuracy 1/2 and bias 0: results must be above this line.
    axes.axhline(0.5, color="gray", linestyle="--", linewidth=1)
    axes.annotate("everybody treated alike", (axes.get_xlim()[1], 0.5), ha="right", va="bottom", fontsize=7)
    axes.set(
        xlabel="|bias| on test (shaded: within the bound)", ylabel="balanced accuracy on test", title=title
    )
    axes.set_xlim(left=0)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), title="squares use the attribute",
                title_fontsize=7)  # fmt: skip
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
