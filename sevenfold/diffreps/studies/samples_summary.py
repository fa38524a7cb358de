"""Tables of samples, one row for each group and one for real images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sevenfold.diffreps.scores import set_scores
from sevenfold.errors import InputError
from sevenfold.records import Record
from sevenfold.study import Table

REAL = "real images"
Scores = Mapping[str, Mapping[str, float]]
COLUMNS = {
    "calls": ("calls", "g"),
    "inner": ("inner iterations", "g"),
    "seconds": ("seconds", ".3f"),
    "memory": ("MiB", ".0f"),
    "psnr": ("PSNR", ".1f"),
    "psnr_worst": ("worst", ".1f"),
    "ssim": ("SSIM", ".3f"),
    "confidence": ("confidence", ".3f"),
    "correct": ("requested class", ".3f"),
    "entropy": ("class entropy", ".3f"),
    "pairwise": ("pairwise", ".3f"),
    "frechet_local": ("Frechet, local", ".1f"),
    "kid_local": ("KID, local", ".3f"),
    "log_likelihood": ("log-lik.", ".4g"),
    "refused": ("refused", "g"),
}
HEADLINE = (
    "calls",
    "psnr",
    "correct",
    "entropy",
    "pairwise",
    "frechet_local",
    "log_likelihood",
    "confidence",
)
MACHINE = ("seconds", "memory")
MEANINGS = {
    "calls": "calls: of the prior, per sample.",
    "inner": "inner iterations: of the solver, per sample.",
    "seconds": "seconds: per sample.",
    "memory": "MiB: most memory in use so far.",
    "psnr": "PSNR, SSIM: to the reference's images from the same noise; worst: the lowest PSNR of a sample.",
    "confidence": "confidence: of a small classifier trained on real images, whose features also give the "
    "two distances, which are no Inception FID or KID.",
    "correct": "requested class: share of samples that the classifier assigns to it.",
    "entropy": "class entropy: of the mean prediction, 1 for all classes alike.",
    "pairwise": "pairwise: mean distance between samples over that of real images.",
    "log_likelihood": "log-lik.: under the prior; much above real images' means mode seeking.",
    "refused": "refused: solver steps that were not taken.",
}


@dataclass(frozen=True)
class Summary:
    """Groups of samples in the run folder, real images or None, and the ``scores`` of all by label."""

    groups: Mapping[str, Mapping[str, Any]]
    real: Mapping[str, Any] | None
    scores: Scores


def summary_of(records: Sequence[Record], folder: Path, order: Iterable[str]) -> Summary:
    """Return the summary of records and of the samples in ``folder``, groups in ``order``."""
    recorded = by_group(records)
    path = folder / "real.pt"
    real = torch.load(path, weights_only=True) if path.is_file() else None
    groups = {group: load_group(folder, group) for group in order if group in recorded}
    scores = {} if real is None else {REAL: real_scores(real)}
    scores |= {group: group_scores(recorded[group], samples, real) for group, samples in groups.items()}
    return Summary(groups, real, scores)


def scalars(scores: Scores) -> dict[str, float]:
    """Return every group's figures but those of the machine."""
    return {
        f"{group}/{name}": value
        for group, figures in scores.items()
        for name, value in figures.items()
        if name not in MACHINE and group != REAL
    }


def verdict(scores: Scores) -> list[str]:
    """Return which samples are nearest to the reference, and which lack the diversity of real images."""
    sentences = []
    psnr = {label: each["psnr"] for label, each in scores.items() if "psnr" in each}
    if len(psnr) > 1:
        best, worst = max(psnr, key=psnr.__getitem__), min(psnr, key=psnr.__getitem__)
        sentences.append(
            f"Nearest to the reference's images from the same noise is {best} ({psnr[best]:.1f} dB), "
            f"furthest {worst} ({psnr[worst]:.1f} dB)."
        )
    spread = {
        label: each["pairwise"] for label, each in scores.items() if "pairwise" in each and label != REAL
    }
    if spread:
        poor = [label for label, value in spread.items() if value < 0.8]
        most = max(spread, key=spread.__getitem__)
        text = f"Samples of {most} differ from each other by {spread[most]:.2f} of what real images do"
        rest = f"; below .8 are {', '.join(f'{x} ({spread[x]:.2f})' for x in poor)}" if poor else ""
        sentences.append(text + rest + ".")
    return sentences


def by_group(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return records by group, in the order of their first appearance."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record["group"], []).append(record)
    return groups


def load_group(folder: Path, group: str) -> dict[str, Any]:
    """Return the saved samples of a group.

    They are ``images`` (N, K, C, H, W), ``pictures``, ``theta``, the scores of each sample (``said``), and
    the first chunk's ``trace``, ``frames`` and ``range`` of values.
    """
    paths = sorted(folder.glob(f"{group.replace('/', '--')}--*.pt"))
    if not paths:
        raise InputError(f"'{folder}' holds no samples of '{group}': a report needs them beside the records")
    chunks = [torch.load(path, weights_only=True) for path in paths]
    columns = {name: torch.cat([c["said"][name] for c in chunks]) for name in chunks[0]["said"]}
    stacked = {name: torch.cat([c[name] for c in chunks]) for name in ("images", "pictures", "theta")}
    first = {name: chunks[0].get(name) for name in ("trace", "frames", "range")}
    return {**stacked, "said": columns, **first}


def group_scores(
    records: Sequence[Record], samples: Mapping[str, Any], real: Mapping[str, Any] | None
) -> dict[str, float]:
    """Return all figures of a group: means over its samples, the worst PSNR, and scores of the set."""
    figures: dict[str, float] = {}
    for name in COLUMNS:
        if name in records[0]:
            values = [record[name] for record in records]
            figures[name] = sum(values) if name == "refused" else sum(values) / len(values)
    if "psnr" in figures:
        figures["psnr_worst"] = min(record["psnr"] for record in records)
    if real is not None:
        of_set = {**samples["said"], "images": samples["images"][:, 0]}
        figures |= set_scores(of_set, dict(real))
    return figures


def real_scores(real: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of real images, by comparison of their two halves."""
    # Set distances of real images to themselves show how much is due to the number of samples.
    half = len(real["images"]) // 2
    parts = [
        {name: value[rows] for name, value in real.items() if isinstance(value, torch.Tensor)}
        for rows in (slice(0, half), slice(half, None))
    ]
    figures = set_scores(parts[0], parts[1]) | {"confidence": float(real["confidence"].mean())}
    if "log_likelihood" in real:
        figures["log_likelihood"] = float(real["log_likelihood"].mean())
    return figures


def headline(scores: Scores) -> Table:
    """Return the main figures, one row for each group."""
    names = [name for name in HEADLINE if any(name in figures for figures in scores.values())]
    return _rows(scores, names[:7])


def table(scores: Scores) -> Table:
    """Return all figures, one row for each group, without columns that no group has."""
    return _rows(scores, [name for name in COLUMNS if any(name in figures for figures in scores.values())])


def explanation(scores: Scores) -> list[str]:
    """Return the meaning of the columns of the table."""
    texts = [text for name, text in MEANINGS.items() if any(name in figures for figures in scores.values())]
    return [" ".join(texts)]


def _rows(scores: Scores, names: Sequence[str]) -> Table:
    rows = [["", *(COLUMNS[name][0] for name in names)]]
    for group, figures in scores.items():
        rows.append([group, *(format(figures[n], COLUMNS[n][1]) if n in figures else "-" for n in names)])
    return rows
