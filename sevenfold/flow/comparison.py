"""What the records of estimators on the same pairs say: rows of means, robustness, pictures side by side."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from sevenfold.evidence import bootstrap
from sevenfold.files import write_text
from sevenfold.flow.color import flow_colors, grid
from sevenfold.flow.formats import read_image, write_image
from sevenfold.flow.robustness import HARDER
from sevenfold.records import Record
from sevenfold.report import Table

HEADLINE = ("epe", "1px", "ause", "occlusion_f1")
FACTS = ("parameters", "trained_on", "licence")
PICTURES = ("picture", "truth")
PAIRS = 5  # below it no interval is shown


def by_group(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    """Return the records by estimator and data set, sorted."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in sorted(records, key=lambda record: str(record["group"])):
        # A data set's name has no bar; an estimator's, which may be a path, can have one.
        label, _, dataset = str(record["group"]).rpartition("|")
        groups.setdefault((label, dataset), []).append(record)
    return groups


def headline_rows(groups: Mapping[tuple[str, str], list[Record]]) -> Table:
    """Return the means to read first, with intervals over pairs where there are five."""
    rows = [["estimator", "data", "pairs", *HEADLINE, "95 %"]]
    for (label, dataset), members in groups.items():
        scored = [member for member in members if "epe" in member]
        # Pairs of one sequence are not independent.
        sequences = [str(member.get("sequence", member["key"])) for member in scored]
        errors = [float(member["epe"]) for member in scored]
        between = bootstrap(errors, 0.0, clusters=sequences, least=PAIRS) if errors else None
        spread = f"{between[0]:.3f} to {between[1]:.3f}" if between else ""
        shown_means = [shown(mean(members, name)) for name in HEADLINE]
        rows.append([label, dataset, str(len(members)), *shown_means, spread])
    return rows


def all_rows(groups: Mapping[tuple[str, str], list[Record]]) -> Table:
    """Return the mean of every measure, a row each."""
    rows = [["estimator", "data", "measure", "mean"]]
    for (label, dataset), members in groups.items():
        for name in sorted(
            {name for member in members for name in member} - {*FACTS, "key", "group", "sequence"}
        ):
            if (value := mean(members, name)) is not None:
                rows.append([label, dataset, name, shown(value)])
    return rows


def robust_rows(groups: Mapping[tuple[str, str], list[Record]]) -> Table:
    """Return errors on harder pictures as multiples of that on the pairs as they are; empty without any."""
    rows = [["estimator", "data", "still, px", "swapped, px", *HARDER]]
    for (label, dataset), members in groups.items():
        members = [member for member in members if "still" in member]
        if members and (clean := mean(members, "epe")):
            harder = [mean(members, f"epe_{name}") for name in HARDER]
            ratios = ["" if each is None else f"{each / clean:.2f}" for each in harder]
            first = [shown(mean(members, name)) for name in ("still", "swapped")]
            rows.append([label, dataset, *first, *ratios])
    return rows if len(rows) > 1 else []


def fact_rows(records: Sequence[Record]) -> Table:
    """Return time, memory, size and origin of each estimator, and how often its solves ended how."""
    rows = [["estimator", "s a pair", "peak MiB", "solves", *FACTS]]
    labels = dict.fromkeys(str(record["group"]).rpartition("|")[0] for record in records)
    for label in labels:
        members = [record for record in records if str(record["group"]).rpartition("|")[0] == label]
        ended = Counter(str(member["status"]) for member in members if "status" in member)
        solves = ", ".join(f"{count} {status}" for status, count in sorted(ended.items()))
        peaks = [float(member["peak_mib"]) for member in members if "peak_mib" in member]
        peak = shown(max(peaks) if peaks else None)
        facts = [str(members[0].get(name, "")) for name in FACTS]
        rows.append([label, shown(mean(members, "seconds")), peak, solves, *facts])
    return rows


def write_tables(rows: Table, folder: Path) -> None:
    """Write a table as ``measures.csv`` and as ``measures.md``."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(folder / "measures.csv", text.getvalue())
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    write_text(folder / "measures.md", "\n".join(lines) + "\n")


def keep_pictures(folder: Path, pair: str, label: str, image: Tensor, flow: Tensor, truth: Tensor) -> None:
    """Write a pair's first picture, its truth (2, H, W) and one estimate, colored on the truth's scale."""
    place = folder / "pairs" / _safe(pair)
    radius = max(1.0, float(torch.quantile(truth[:, ::4, ::4].norm(dim=0).flatten(), 0.99)))
    write_image(place / f"{PICTURES[0]}.png", (image.clamp(0, 1) * 255).round().to(torch.uint8))
    write_image(place / f"{PICTURES[1]}.png", flow_colors(truth, radius=radius))
    write_image(place / f"estimate_{_safe(label)}.png", flow_colors(flow, radius=radius))


def draw_widest(records: Sequence[Record], folder: Path) -> tuple[str, Path] | None:
    """Draw all estimates of the pair on which errors differ most; return its name and the file.

    None where no pair has been scored.
    """
    errors: dict[str, dict[str, float]] = {}
    for record in records:
        if "epe" in record:
            pair, _, label = str(record["key"]).partition("|")
            errors.setdefault(pair, {})[label] = float(record["epe"])
    if not errors:
        return None
    widest = max(errors, key=lambda pair: max(errors[pair].values()) - min(errors[pair].values()))
    place = folder / "pairs" / _safe(widest)
    files = [(name, place / f"{name}.png") for name in PICTURES]
    for label, error in errors[widest].items():
        files.append((f"{label}, EPE {error:.3g} px", place / f"estimate_{_safe(label)}.png"))
    # Bytes over 255, back to the same bytes.
    tiles = [(text, (read_image(file) * 255).round().to(torch.uint8)) for text, file in files]
    path = folder / "images/widest.png"
    write_image(path, grid(tiles))
    return widest, path


def mean(records: Sequence[Record], name: str) -> float | None:
    """Return the mean of a field over the records that have it; None where none has."""
    values = [record[name] for record in records if isinstance(record.get(name), int | float)]
    return sum(values) / len(values) if values else None


def shown(value: float | None) -> str:
    """Return a number as it stands in a table."""
    return "" if value is None else f"{value:.4g}"


def _safe(name: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-." else "_" for sign in name)
