"""Public data sets with one pattern of names: KITTI 2012, Spring, TartanAir, VIPER, Middlebury."""

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from sevenfold.errors import InputError
from sevenfold.flow.data.layouts import Pair, find_pairs
from sevenfold.flow.media.inputs import natural

Pattern = tuple[str, str]
"""A pattern of the pictures below the root, and where the flow of one lies, relative to its folder.

``{a}`` is the picture's name without suffix, ``{flow}`` the same with "flow_FW" for "frame", ``{i}`` and
``{j}`` what stands before the first underscore of its name and of the next one's, ``{folder}`` the name of
the folder.
"""

SPRING: Pattern = ("spring/train/*/frame_left/*.png", "../flow_FW_left/{flow}.flo5")
TARTANAIR: Pattern = ("tartanair/**/image_left/*.png", "../flow/{i}_{j}_flow.npy")
VIPER: Pattern = ("viper/train/img/*/*.jpg", "../../flow/{folder}/{a}.npz")


def spring(*, root: str = "data", split: str = "train") -> list[Pair]:
    """List the pairs of Spring's left camera (Mehl et al., CVPR 2023)."""
    return _neighbors(root, "spring", SPRING)


def tartanair(*, root: str = "data", split: str = "train") -> list[Pair]:
    """List the pairs of TartanAir's left camera (Wang et al., IROS 2020)."""
    return _neighbors(root, "tartanair", TARTANAIR)


def viper(*, root: str = "data", split: str = "train") -> list[Pair]:
    """List the pairs of VIPER that have a flow (Richter et al., ICCV 2017)."""
    return [pair for pair in _neighbors(root, "viper", VIPER) if pair.truth is not None]


def kitti_2012(*, root: str = "data", split: str = "train") -> list[Pair]:
    """List the training pairs of KITTI 2012 (Geiger et al., CVPR 2012)."""
    folder = Path(root) / "KittiFlow2012/training"
    pairs = [
        Pair(first, second, truth, "kitti2012", f"kitti2012/{first.stem}")
        for first in sorted((folder / "colored_0").glob("*_10.png"))
        if (second := first.with_name(first.name.replace("_10.", "_11."))).is_file()
        and (truth := folder / "flow_occ" / first.name).is_file()
    ]
    return _some(pairs, root, "KITTI 2012", "KittiFlow2012/training/colored_0/N_10.png and flow_occ/N_10.png")


def middlebury_pairs(*, root: str = "data", split: str = "train") -> list[Pair]:
    """List Middlebury's pairs with a truth, at any depth below ``root`` (Baker et al., IJCV 2011)."""
    pairs = [p for p in find_pairs(root) if p.dataset == "middlebury" and p.truth is not None]
    return _some(pairs, root, "Middlebury", "SCENE/frame10.png, frame11.png and flow10.flo")


def _neighbors(root: str, dataset: str, pattern: Pattern) -> list[Pair]:
    """Return successive pictures of every folder, with their flow where there is a file."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for path in Path(root).glob(pattern[0]):
        folders[path.parent].append(path)
    pairs = []
    for folder, paths in sorted(folders.items()):
        for first, second in pairwise(sorted(paths, key=natural)):
            i, j = (path.stem.partition("_")[0] for path in (first, second))
            flow = first.stem.replace("frame", "flow_FW")
            place = pattern[1].format(a=first.stem, flow=flow, i=i, j=j, folder=folder.name)
            truth = folder / place
            name = f"{dataset}/{first.relative_to(root).with_suffix('').as_posix()}"
            pairs.append(Pair(first, second, truth if truth.is_file() else None, dataset, name))
    return _some(pairs, root, dataset, f"{pattern[0]} with {pattern[1]}")


def _some(pairs: list[Pair], root: str, title: str, expected: str) -> list[Pair]:
    if not pairs:
        raise InputError(f"no pairs of {title}: expected as {expected} below data.root={root}")
    return pairs
