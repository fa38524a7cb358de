"""What a user gives as input: a picture in any form, and paths that name pairs, sequences or videos."""

import glob
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.flow.formats.pictures import from_pillow, read_image
from sevenfold.flow.media.pair_table import read_pair_table

PICTURES = (".png", ".ppm", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
TABLES = (".csv", ".tsv")
VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".gif")
SLACK = 1e-3  # by how much floats may leave [0, 1]: resampling does so


@dataclass(frozen=True)
class Frame:
    """A picture (3, H, W) in [0, 1], its name, and when it is shown, in seconds."""

    image: Tensor
    name: str
    time: float


@dataclass(frozen=True)
class Clip:
    """Successive frames from files: ``paths`` of pictures, or the one path of a ``video``."""

    name: str
    paths: tuple[Path, ...]
    video: bool = False


def picture(value: Any, what: str = "image") -> Tensor:
    """Return a picture as float32 RGB (3, H, W) in [0, 1].

    ``value``: a path, a Pillow image, an array (H, W, 3) or (H, W), or a tensor (3, H, W). Integers are
    divided by the largest value of their type, floats must lie in [0, 1]; EXIF orientation is applied.

    Example:
        >>> import numpy as np
        >>> picture(np.full((4, 5, 3), 255, np.uint8)).shape
        torch.Size([3, 4, 5])
        >>> picture(np.full((4, 5, 3), 200.0))
        Traceback (most recent call last):
        sevenfold.errors.InputError: image: floats must lie in [0, 1], got 200 to 200; divide by 255
    """
    if isinstance(value, str | os.PathLike):
        return read_image(value).contiguous()
    if isinstance(value, Image.Image):
        return from_pillow(value, what).contiguous()
    array = value if isinstance(value, Tensor) else torch.from_numpy(_native(np.asarray(value), what))
    if array.ndim == 2:
        array = array[..., None].expand(*array.shape, 3)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim != 3 or 3 not in (array.shape[0], array.shape[2]):
        raise InputError(f"{what}: expected (H, W, 3) or (3, H, W), got shape {tuple(array.shape)}")
    channels_last = array.shape[2] == 3 and not (isinstance(value, Tensor) and array.shape[0] == 3)
    array = array.permute(2, 0, 1) if channels_last else array
    return _in_unit_range(array, what).contiguous()


def _native(array: np.ndarray, what: str) -> np.ndarray:
    if array.dtype.kind not in "buif" or not array.size:
        raise InputError(f"{what}: expected a picture, got {array.dtype} of shape {array.shape}")
    if array.dtype == bool:
        raise InputError(
            f"{what}: expected a picture, got truth values; give bytes 0..255 or floats in [0, 1]"
        )
    kind = array.dtype.newbyteorder("=")
    return np.array(array, dtype=np.float64 if array.dtype.itemsize > 8 else kind, order="C")


def _in_unit_range(array: Tensor, what: str) -> Tensor:
    """Scale integers by their type; refuse floats outside [0, 1]."""
    if not array.is_floating_point():
        if array.dtype in (torch.int64, torch.int32, torch.int16, torch.int8):
            least, most = int(array.min()), int(array.max())
            if least < 0 or most > 255:
                raise InputError(
                    f"{what}: signed integers must lie in 0..255, got {least} to {most}; give uint16"
                )
            return array.float() / 255
        # One division in float32, as readers of files do it, so that all forms give the same bits.
        return array.to(torch.float32) / torch.iinfo(array.dtype).max
    check_range(array, what)
    return array.float().clamp(0, 1)


def check_range(array: Tensor, what: str) -> None:
    """Raise ``InputError``, with the range and advice, unless floats lie in [0, 1] but for rounding."""
    low, high = float(array.min()), float(array.max())
    if not (low >= -SLACK and high <= 1 + SLACK):
        advice = "divide by 255" if 1.5 < high <= 255.5 and low >= -SLACK else "bring them to [0, 1]"
        if not np.isfinite([low, high]).all():
            advice = "replace what is not finite"
        raise InputError(f"{what}: floats must lie in [0, 1], got {low:g} to {high:g}; {advice}")


def same_size(image1: Tensor, image2: Tensor, name1: str, name2: str) -> None:
    """Raise ``InputError`` unless two pictures have one size."""
    if image1.shape != image2.shape:
        sizes = [f"{each.shape[2]}x{each.shape[1]}" for each in (image1, image2)]
        raise InputError(f"{name1} is {sizes[0]} and {name2} is {sizes[1]}: pictures of a pair have one size")


def find_clips(inputs: Sequence[str | Path], *, cut: int | None = None) -> list[Clip]:
    """Return the clips that paths mean: a pair, pictures, a quoted glob, a folder, videos, tables of pairs.

    Pictures are in natural order, digits by value. In a folder, pictures whose names differ in the last
    number alone are a sequence. A gap in the numbers is no cut unless ``cut`` is given and the jump is
    larger.
    """
    paths = [path for each in inputs for path in _expanded(str(each))]
    folders = [path for path in paths if path.is_dir()]
    videos = [path for path in paths if path.suffix.lower() in VIDEOS and not path.is_dir()]
    pictures = [path for path in paths if path not in folders and path not in videos]
    for path in pictures:
        if not path.is_file():
            raise InputError(f"{path}: no such file; give pictures, a folder of them, or a video")
        if path.suffix.lower() not in (*PICTURES, *TABLES):
            known = ", ".join((*PICTURES, *VIDEOS, *TABLES))
            raise InputError(f"{path}: '{path.suffix}' is neither picture nor video; known are {known}")
    tables = [path for path in pictures if path.suffix.lower() in TABLES]
    pictures = [path for path in pictures if path not in tables]
    clips = [Clip(path.stem, (path,), video=True) for path in videos]
    clips += [clip for table in tables for clip in table_clips(table)]
    for folder in folders:
        clips += folder_clips(folder, cut)
    if len(pictures) == 1:
        raise InputError(f"{pictures[0]}: flow needs two pictures; give a second one, a folder or a video")
    if len(pictures) == 2:
        clips.append(Clip(pictures[0].stem, tuple(pictures)))
    elif pictures:
        clips += _cut(pictures[0].parent.resolve().name, sorted(pictures, key=natural), cut)
    return clips


def table_clips(path: Path) -> list[Clip]:
    """Return a clip of two pictures for every row of a table of pairs, under names that are unique."""
    rows = read_pair_table(path)
    stems = [row.image1.stem for row in rows]
    unique = len(set(stems)) == len(stems)
    return [
        Clip(stem if unique else f"{number:06d}_{stem}", (row.image1, row.image2))
        for number, (stem, row) in enumerate(zip(stems, rows, strict=True))
    ]


def folder_clips(folder: Path, cut: int | None = None) -> list[Clip]:
    """Return the sequences of pictures and the videos that lie in a folder."""
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    names = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in names:
        if path.suffix.lower() in PICTURES:
            groups[re.sub(r"\d+(?=\D*$)", "", path.stem), path.suffix].append(path)
    whole = {key: paths for key, paths in groups.items() if len(paths) > 1}
    every = [path for paths in groups.values() for path in paths]
    # Names without a common pattern, such as left.png and right.png, are one sequence.
    if not whole and len(every) > 1:
        whole = {("", ""): every}
    clips = [
        clip
        for (prefix, _), paths in sorted(whole.items())
        for clip in _cut(
            folder.resolve().name if len(whole) == 1 else prefix.rstrip("_-. ") or folder.resolve().name,
            sorted(paths, key=natural),
            cut,
        )
    ]
    clips += [Clip(path.stem, (path,), video=True) for path in names if path.suffix.lower() in VIDEOS]
    if not clips:
        raise InputError(f"{folder}: no two pictures and no video here; known are {', '.join(PICTURES)}")
    return clips


def natural(path: Path) -> tuple[object, ...]:
    """Return what sorts names with their digits by value: f9 before f10."""
    parts = re.split(r"(\d+)", path.name)
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)


def _expanded(text: str) -> list[Path]:
    if not Path(text).exists() and any(sign in text for sign in "*?["):
        matches = sorted(map(Path, glob.glob(text)), key=natural)
        if not matches:
            raise InputError(f"{text}: no file fits this pattern")
        return matches
    if not Path(text).exists():
        raise InputError(f"{text}: no such file or folder")
    return [Path(text)]


def _cut(name: str, paths: list[Path], cut: int | None) -> list[Clip]:
    """Divide a sequence where its numbers jump by more than ``cut``."""
    runs, numbers = [[paths[0]]], [re.findall(r"\d+", path.stem) for path in paths]
    for path, before, after in zip(paths[1:], numbers, numbers[1:], strict=False):
        if cut is not None and before and after and int(after[-1]) - int(before[-1]) > cut:
            runs.append([])
        runs[-1].append(path)
    clips = [run for run in runs if len(run) > 1]
    return [Clip(name if i == 0 else f"{name}@{run[0].stem}", tuple(run)) for i, run in enumerate(clips)]
