"""Facts about the pairs of a set before a training, and warnings of what is probably wrong with them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

import torch

from sevenfold.environment import user_cache
from sevenfold.files import write_text
from sevenfold.flow.data.layouts import Pair
from sevenfold.flow.data.pairs import PairDataset
from sevenfold.flow.warp import warp

LOOKED_AT, WARPED, SPACING = 64, 16, 4
SLOW, FAST, TOO_MANY, FALLS = 0.05, 400.0, 0.2, 0.8


@dataclass(frozen=True)
class Examination:
    """Facts about a set of pairs, and ``warnings``, one line each.

    ``supervised``: share of pairs with a truth; ``speeds``: 1st, 50th and 99th percentile in px; ``known``:
    share of pixels with a known flow; ``falls``: the photometric error after the second picture is warped by
    the truth, over that before, the median over pairs.
    """

    pairs: int
    supervised: float
    sizes: list[str]
    speeds: list[float]
    known: float
    falls: float | None
    warnings: list[str]

    def row(self, name: str) -> list[str]:
        """Return the facts as a row of a table."""
        sizes = ", ".join(self.sizes[:3]) + (
            f" and {len(self.sizes) - 3} more" if len(self.sizes) > 3 else ""
        )
        speeds = " / ".join(f"{speed:.3g}" for speed in self.speeds) or "-"
        falls = "-" if self.falls is None else f"{self.falls:.2f}"
        shares = [f"{100 * share:.0f} %" for share in (self.supervised, self.known)]
        return [name, str(self.pairs), shares[0], sizes, speeds, shares[1], falls]


HEADER = ["set", "pairs", "with truth", "sizes", "speed 1/50/99 %, px", "known", "error warped"]


def examine(name: str, pairs: Sequence[Pair]) -> Examination:
    """Look at up to 64 pairs of a set, evenly over it; what was seen is stored in the user's cache.

    A warning is given for a median speed below .05 px, for more than a fifth of flow above 400 px, and where
    warping by the truth does not lower the photometric error by a fifth: so look components that are
    exchanged, wrong signs, backward flow, wrong units, and frames of different colors.
    """
    facts = [[str(p.image1), str(p.image2), str(p.truth), p.scale, _stamp(p)] for p in pairs]
    key = hashlib.sha256(json.dumps([name, facts, FALLS]).encode()).hexdigest()[:24]
    path = user_cache() / f"check-{key}.json"
    try:
        return Examination(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        pass  # not there, or of another version
    seen = _examine(name, pairs)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(asdict(seen)))
    except OSError:
        pass  # a cache that cannot be written costs seconds, nothing else
    return seen


def _stamp(pair: Pair) -> list[float]:
    files = [file for file in (pair.image1, pair.image2, pair.truth) if file is not None]
    return [file.stat().st_mtime for file in files if file.exists()]


def _examine(name: str, pairs: Sequence[Pair]) -> Examination:
    labeled = [pair for pair in pairs if pair.truth is not None]
    chosen = labeled[:: -(-len(labeled) // LOOKED_AT)] if labeled else []
    warped = chosen[:: -(-len(chosen) // WARPED)] if chosen else []
    speeds: list[torch.Tensor] = []
    known: list[float] = []
    ratios: list[float] = []
    sizes: dict[str, None] = {}
    for pair in chosen:
        item = PairDataset([pair])[0]
        flow, valid = item["flow"], item["valid"]
        sizes[f"{flow.shape[2]}x{flow.shape[1]}"] = None
        known.append(float(valid.float().mean()))
        speeds.append(flow.norm(dim=0)[valid][::SPACING])
        if any(pair is other for other in warped):
            pulled, inside = warp(item["image2"][None], flow[None])
            place = valid & inside[0]
            before, after = (
                float((image - item["image1"]).abs().mean(dim=0)[place].sum())
                for image in (item["image2"], pulled[0])
            )
            ratios.append(after / before if before > 0 else 1.0)
    for pair in pairs[:1] if not chosen else []:
        first = PairDataset([pair])[0]["image1"]
        sizes[f"{first.shape[2]}x{first.shape[1]}"] = None
    every = torch.cat(speeds) if speeds else torch.zeros(0)
    # Quantiles of many numbers are taken of every n-th.
    every = every[:: max(1, len(every) // 1_000_000)]
    points = torch.quantile(every, torch.tensor([0.01, 0.5, 0.99])).tolist() if len(every) else []
    falls = median(ratios) if ratios else None
    warnings = []
    if points and points[1] < SLOW:
        warnings.append(f"{name}: the median speed is {points[1]:.3g} px: flow in other units?")
    if len(every) and (share := float((every > FAST).float().mean())) > TOO_MANY:
        warnings.append(f"{name}: {100 * share:.0f} % of the flow is above {FAST:g} px: flow in other units?")
    if falls is not None and falls > FALLS:
        warnings.append(
            f"{name}: warping image 2 by the truth leaves {100 * falls:.0f} % of the difference to image 1; "
            "are u and v exchanged, the signs turned, the units others, or is it the backward flow?"
        )
    return Examination(
        len(pairs), len(labeled) / max(1, len(pairs)), list(sizes), points,
        sum(known) / len(known) if known else 0.0, falls, warnings,
    )  # fmt: skip
