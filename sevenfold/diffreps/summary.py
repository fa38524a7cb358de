"""What samples came to: one row a group, with real images beside."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sevenfold.diffreps.scores import set_scores

Record = dict[str, Any]
COLUMNS = {
    "calls": ("calls", "g"),
    "inner": ("inner iterations", "g"),
    "seconds": ("seconds", ".3f"),
    "memory": ("MiB", ".0f"),
    "psnr": ("PSNR", ".1f"),
    "psnr_worst": ("worst", ".1f"),
    "ssim": ("SSIM", ".3f"),
    "confidence": ("confidence", ".3f"),
    "correct": ("class asked for", ".3f"),
    "entropy": ("class entropy", ".3f"),
    "pairwise": ("pairwise", ".3f"),
    "frechet_local": ("Frechet, local", ".1f"),
    "kid_local": ("KID, local", ".3f"),
    "log_likelihood": ("log-lik.", ".0f"),
    "refused": ("refused", "g"),
}
EXPLANATION = [
    "calls: of the prior, a sample. seconds: a sample. MiB: most memory in use so far. PSNR, SSIM: to the "
    "reference's images from the same noise. confidence: of a small classifier trained on real images, whose "
    "features also give the two distances, which are no Inception FID or KID. class entropy: of the mean "
    "prediction, 1 for all classes alike. pairwise: mean distance between samples over that of real images. "
    "log-lik.: under the prior; much above real images' means mode seeking. refused: solver steps that were "
    "not taken."
]


def by_group(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return records by group, in the order of their first appearance."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record["group"], []).append(record)
    return groups


def load_group(folder: Path, group: str) -> dict[str, Any]:
    """Return a group's kept samples: ``images`` (N, K, C, H, W), ``pictures``, ``theta``, what is
    ``said`` of each, and the first chunk's ``trace`` and ``frames``.
    """
    paths = sorted(folder.glob(f"{group.replace('/', '--')}--*.pt"))
    chunks = [torch.load(path, weights_only=True) for path in paths]
    said = {name: torch.cat([c["said"][name] for c in chunks]) for name in chunks[0]["said"]}
    joined = {name: torch.cat([c[name] for c in chunks]) for name in ("images", "pictures", "theta")}
    return {**joined, "said": said, "trace": chunks[0]["trace"], "frames": chunks[0]["frames"]}


def group_scores(records: list[Record], samples: dict[str, Any], real: Record | None) -> dict[str, float]:
    """Return every figure of a group: means over its samples, the worst PSNR, and those of the set."""
    found: dict[str, float] = {}
    for name in COLUMNS:
        if name in records[0]:
            values = [record[name] for record in records]
            found[name] = sum(values) if name == "refused" else sum(values) / len(values)
    if "psnr" in found:
        found["psnr_worst"] = min(record["psnr"] for record in records)
    if real is not None:
        of_set = {**samples["said"], "images": samples["images"][:, 0]}
        found |= set_scores(of_set, real)
    return found


def real_scores(real: Record) -> dict[str, float]:
    """Return what can be said of real images, halves of them against each other."""
    half = len(real["images"]) // 2
    parts = [
        {name: value[rows] for name, value in real.items() if isinstance(value, torch.Tensor)}
        for rows in (slice(0, half), slice(half, None))
    ]
    found = set_scores(parts[0], parts[1]) | {"confidence": float(real["confidence"].mean())}
    if "log_likelihood" in real:
        found["log_likelihood"] = float(real["log_likelihood"].mean())
    return found


def table(scores: dict[str, dict[str, float]]) -> list[list[str]]:
    """Return rows of text, the header first; columns that no group has are left out."""
    kept = [name for name in COLUMNS if any(name in own for own in scores.values())]
    rows = [["", *(COLUMNS[name][0] for name in kept)]]
    for group, own in scores.items():
        cells = [format(own[name], COLUMNS[name][1]) if name in own else "-" for name in kept]
        rows.append([group, *cells])
    return rows
