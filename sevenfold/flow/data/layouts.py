"""How the public flow data sets lay out their files: each layout finds its own pairs in a folder."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from sevenfold.errors import InputError
from sevenfold.flow.padding import PaddingRule


@dataclass(frozen=True)
class Pair:
    """Two pictures and, if there is one, the file of the flow from the first to the second.

    ``valid``: a mask of where that is known, beside what its file says. ``scale``: stored values times this
    are px. ``sequence``: of the first picture, by default its folder; sequences are never divided.
    """

    image1: Path
    image2: Path
    truth: Path | None
    dataset: str
    name: str
    valid: Path | None = None
    scale: float = 1.0
    sequence: str = ""

    @property
    def padding(self) -> PaddingRule:
        """The padding rule of the pair's benchmark."""
        return "kitti" if self.dataset == "kitti" else "sintel"

    @property
    def limit(self) -> float:
        """Largest known component, in px (Middlebury, KITTI and HD1K mark unknown pixels themselves)."""
        return 1e9 if self.dataset in ("middlebury", "kitti", "hd1k") else 1000.0


def middlebury(folder: Path, names: set[str]) -> Iterator[Pair]:
    """Find ``frame10.png, frame11.png`` with ``flow10.flo`` there or in ``../../other-gt-flow/<scene>``."""
    if "frame10.png" in names:
        # Middlebury ships pictures and truths in two archives that unpack side by side.
        places = [folder / "flow10.flo", folder.parent.parent / "other-gt-flow" / folder.name / "flow10.flo"]
        truth = next((place for place in places if place.is_file()), None)
        second = _partner(folder, names, "frame10.png", "frame11.png")
        yield Pair(folder / "frame10.png", second, truth, "middlebury", folder.name)


def chairs(folder: Path, names: set[str]) -> Iterator[Pair]:
    """Find ``N_img1.ppm, N_img2.ppm, N_flow.flo`` or ``N-img0.ppm, N-img1.ppm, N-gt.flo``."""
    for first, second, flow in (
        ("_img1.ppm", "_img2.ppm", "_flow.flo"),
        ("-img0.ppm", "-img1.ppm", "-gt.flo"),
    ):
        for name in sorted(names):
            if name.endswith(first):
                stem = name.removesuffix(first)
                image2 = _partner(folder, names, name, stem + second)
                yield Pair(folder / name, image2, _existing(folder / (stem + flow)), "chairs", stem)


def kitti(folder: Path, names: set[str]) -> Iterator[Pair]:
    """Find ``image_2/N_10.png, N_11.png`` with ``flow_occ/N_10.png``; or in one folder, ``/`` being ``_``."""
    nested = folder.name == "image_2"
    pattern = re.compile(r"(\d{6})_10\.png" if nested else r"image_2_(\d{6})_10\.png")
    for name in sorted(names):
        if match := pattern.fullmatch(name):
            image2 = _partner(folder, names, name, name.replace("_10.png", "_11.png"))
            truth = folder.parent / "flow_occ" / name if nested else folder / f"flow_occ_{match[1]}_10.png"
            yield Pair(folder / name, image2, _existing(truth), "kitti", f"{match[1]}_10")


def frames(folder: Path, names: set[str]) -> Iterator[Pair]:
    """Find neighbors ``frame_N.png``: Sintel's ``clean|final/<scene>``, ``flow/<scene>``, or any video."""
    numbers = sorted(
        (int(match[1]), name) for name in names if (match := re.fullmatch(r"frame_(\d+)\.png", name))
    )
    sintel = folder.parent.name in ("clean", "final")
    for (number, name), (next_number, next_name) in pairwise(numbers):
        # A gap is a cut: pictures on its two sides are no pair.
        if next_number == number + 1:
            stem = Path(name).stem
            truth = _existing(folder.parent.parent / "flow" / folder.name / f"{stem}.flo") if sintel else None
            dataset = f"sintel_{folder.parent.name}" if sintel else "video"
            yield Pair(folder / name, folder / next_name, truth, dataset, f"{folder.name}/{stem}")


RECOGNIZED: tuple[Callable[[Path, set[str]], Iterator[Pair]], ...] = (middlebury, chairs, kitti, frames)

LOOKED_FOR = (
    "Middlebury (frame10.png, frame11.png, flow10.flo), FlyingChairs (N_img1.ppm, N_img2.ppm, N_flow.flo or "
    "N-img0.ppm, N-img1.ppm, N-gt.flo), KITTI (image_2/N_10.png, image_2/N_11.png, flow_occ/N_10.png), "
    "Sintel (clean|final/SCENE/frame_N.png, flow/SCENE/frame_N.flo) and video (frame_N.png)"
)


def find_pairs(root: str | Path) -> list[Pair]:
    """Find every pair below ``root``, in a fixed order and under unique names such as "kitti/000000_10".

    Raises ``InputError`` if the folder is missing, holds no pair, or holds a first picture without
    its second.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; set data.root to the folder with the flow data")
    listed: list[Pair] = []
    # Sorted, for the order decides which pairs a seed draws.
    for folder, _, names in sorted(os.walk(root, followlinks=True)):
        for layout in RECOGNIZED:
            listed.extend(layout(Path(folder), set(names)))
    if not listed:
        raise InputError(f"{root}: no image pairs here; looked for {LOOKED_FOR}")
    return _named(root, listed)


def _named(root: Path, pairs: list[Pair]) -> list[Pair]:
    """Prefix the names by the data set and, where that leaves two alike, by the folder too."""
    # Short names stay where they are unique, as results of one set are compared by name.
    short = [f"{pair.dataset}/{pair.name}" for pair in pairs]
    often = Counter(short)
    return [
        replace(
            pair,
            name=name
            if often[name] == 1
            else f"{pair.dataset}/{pair.image1.parent.relative_to(root).as_posix()}/{pair.name}",
        )
        for pair, name in zip(pairs, short, strict=True)
    ]


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _partner(folder: Path, names: set[str], first: str, second: str) -> Path:
    if second not in names:
        raise InputError(f"{folder / first}: its second picture {second} is missing; complete the data set")
    return folder / second
