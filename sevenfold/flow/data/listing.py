"""Pairs of data of one's own: by patterns of names, from a table, or successive frames."""

import glob
import hashlib
import re
from itertools import pairwise, zip_longest
from pathlib import Path

import torch

from sevenfold.environment import user_cache
from sevenfold.errors import InputError
from sevenfold.flow.data.layouts import Pair
from sevenfold.flow.formats import write_image
from sevenfold.flow.media.inputs import Clip, find_clips, natural
from sevenfold.flow.media.pair_table import read_pair_table
from sevenfold.flow.media.reading import clip_frames

Row = tuple[tuple[str, ...], Path]


def list_patterns(
    *,
    root: str = "data",
    split: str = "train",
    image1: str | None = None,
    image2: str | None = None,
    flow: str | None = None,
    valid: str | None = None,
) -> list[Pair]:
    """List the pairs whose files have names of given patterns below ``root``.

    What the stars of the patterns stand for must agree row by row; otherwise ``InputError`` names both files
    of the first row that differs. Without ``flow`` pairs have no truth.

    Args:
        image1: pattern of the first pictures.
        image2: pattern of the second pictures.
        flow: pattern of the true flow.
        valid: pattern of masks that are black where the flow is not known.
    """
    if not image1 or not image2:
        raise InputError("layout 'files' needs the patterns image1 and image2, such as 'shots/*/a_*.png'")
    given = {"image1": image1, "image2": image2, "flow": flow, "valid": valid}
    patterns = {name: text for name, text in given.items() if text}
    columns = {name: _matches(Path(root), text) for name, text in patterns.items()}
    first = columns["image1"]
    if not first:
        raise InputError(f"{Path(root) / image1}: no file fits this pattern")
    for name, rows in columns.items():
        for number, (one, other) in enumerate(zip_longest(first, rows), 1):
            if one is None or other is None or one[0] != other[0]:
                left, right = (each[1] if each else "nothing" for each in (one, other))
                raise InputError(
                    f"row {number} of the patterns: image1 is {left}, {name} is {right}; what their stars "
                    "stand for must agree, one for one"
                )
    paths = [
        [path for _, path in columns[name]] if name in columns else [None] * len(first) for name in given
    ]
    return [
        Pair(a, b, truth, "", a.relative_to(root).with_suffix("").as_posix(), known)
        for a, b, truth, known in zip(*paths, strict=True)
        if a is not None and b is not None
    ]


def list_table(*, root: str = "data", split: str = "train", file: str | None = None) -> list[Pair]:
    """List the pairs of a table below ``root`` (:func:`sevenfold.flow.media.pair_table.read_pair_table`).

    Args:
        file: name of the table.
    """
    if not file:
        raise InputError("layout 'csv' needs the name of a file, such as file: pairs.csv")
    rows = read_pair_table(Path(root) / file)
    return [
        Pair(
            row.image1, row.image2, row.flow, "", f"{number:06d}_{row.image1.stem}", row.valid,
            sequence=row.sequence,
        )
        for number, row in enumerate(rows)
    ]  # fmt: skip


def list_frames(*, root: str = "data", split: str = "train", file: str | None = None) -> list[Pair]:
    """List the pairs of successive frames of a video or of a folder of pictures below ``root``; no truth.

    Args:
        file: name of the video or folder.
    """
    if not file:
        raise InputError("layout 'frames' needs a video or a folder of frames, such as file: clip.mp4")
    pairs = []
    for clip in find_clips([Path(root) / file]):
        paths = extracted(clip) if clip.video else clip.paths
        for first, second in pairwise(paths):
            pairs.append(Pair(first, second, None, "", f"{clip.name}/{first.stem}", sequence=clip.name))
    return pairs


def extracted(clip: Clip) -> list[Path]:
    """Return the frames of a video as pictures in the user's cache, written once for each content."""
    content = hashlib.sha256(clip.paths[0].read_bytes()).hexdigest()[:16]
    folder = user_cache() / f"frames-{content}"
    done = folder / "complete"
    if not done.is_file():
        for number, frame in enumerate(clip_frames(clip, None)):
            write_image(folder / f"{number:06d}.png", (frame.image * 255).round().to(torch.uint8))
        done.touch()
    return sorted(folder.glob("*.png"))


def _matches(root: Path, pattern: str) -> list[Row]:
    """Return what the stars stand for and the path of every file that fits, in natural order."""
    expression = re.compile("([^/]*)".join(map(re.escape, pattern.split("*"))))
    names = glob.glob("*".join(map(glob.escape, pattern.split("*"))), root_dir=root)
    matches = [(match.groups(), root / name) for name in names if (match := expression.fullmatch(name))]
    return sorted(matches, key=lambda row: [natural(Path(part)) for part in row[0]])
