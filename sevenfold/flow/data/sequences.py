"""Sequences of pictures in a folder: names that differ in a running number."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sevenfold.errors import InputError
from sevenfold.flow.data.layouts import Pair

PICTURES = (".png", ".ppm", ".jpg", ".jpeg", ".bmp", ".webp")


@dataclass(frozen=True)
class Frames:
    """Consecutive pictures of one scene, and the scene's name, unique below the folder searched."""

    name: str
    paths: tuple[Path, ...]

    @property
    def dataset(self) -> str:
        """The benchmark that the place of the files tells, or "video"."""
        folder = self.paths[0].parent
        if folder.parent.name in ("clean", "final"):
            return f"sintel_{folder.parent.name}"
        return "kitti" if folder.name == "image_2" else "video"

    def pairs(self) -> list[Pair]:
        """Return the pairs of neighbors."""
        return [
            Pair(first, second, None, self.dataset, f"{self.name}/{first.stem}")
            for first, second in pairwise(self.paths)
        ]


def find_sequences(root: str | Path) -> list[Frames]:
    """Find every run of at least two pictures below ``root`` whose numbers follow each other.

    Pictures belong together if their names differ in the last number alone, such as ``frame_0001.png``
    (Sintel, any video) or ``000007_10.png`` and ``000007_11.png`` (KITTI). A gap in the numbers is a cut:
    what follows is another sequence. Raises ``InputError`` if there is none.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; set data.root to a folder of frames")
    sequences = [
        frames
        for folder, _, names in sorted(os.walk(root, followlinks=True))
        for frames in _in_folder(root, Path(folder), names)
    ]
    if not sequences:
        raise InputError(
            f"{root}: no two pictures whose names differ in a running number, such as frame_0001.png and "
            f"frame_0002.png; known are {', '.join(PICTURES)}"
        )
    return sequences


def _in_folder(root: Path, folder: Path, names: list[str]) -> Iterator[Frames]:
    scenes: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for name in names:
        # Lazy before the digits: the last run of digits is taken whole, leading zeros included.
        match = re.fullmatch(r"(.*?)(\d+)(\.\w+)", name)
        if match and match[3].lower() in PICTURES:
            scenes[match[1], match[3]].append((int(match[2]), name))
    # The only scene of a folder is called by the folder.
    labels = {key: key[0].rstrip("_-. ") if len(scenes) > 1 else "" for key in scenes}
    if len(set(labels.values())) < len(scenes):
        labels = {(prefix, suffix): prefix + suffix for prefix, suffix in scenes}
    place = folder.relative_to(root)
    for key, numbered in sorted(scenes.items()):
        name = (place / labels[key]).as_posix().removeprefix(".") or folder.name
        for run in _runs(sorted(numbered)):
            cut = "" if run[0] == min(numbered) else f"@{run[0][0]}"
            if len(run) > 1:
                yield Frames(name + cut, tuple(folder / file for _, file in run))


def _runs(numbered: list[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Cut a sorted list where a number does not follow the one before."""
    run = numbered[:1]
    for before, after in pairwise(numbered):
        if after[0] != before[0] + 1:
            yield run
            run = []
        run.append(after)
    yield run
