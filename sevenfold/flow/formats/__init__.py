"""Files of optical flow: ``.flo``, ``.pfm``, KITTI's 16-bit PNG, ``.npy``, ``.npz``, ``.flo5``; pictures."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.flow.formats.arrays import read_npy, read_npz, write_npy, write_npz
from sevenfold.flow.formats.flo import read_flo, write_flo
from sevenfold.flow.formats.flo5 import read_flo5, write_flo5
from sevenfold.flow.formats.kitti_png import read_kitti_png, write_kitti_png
from sevenfold.flow.formats.pfm import read_pfm, write_pfm
from sevenfold.flow.formats.pictures import read_image, write_image

__all__ = [
    "read_flo",
    "read_flow",
    "read_image",
    "read_kitti_png",
    "read_pfm",
    "write_flo",
    "write_flow",
    "write_image",
    "write_kitti_png",
    "write_pfm",
]

READERS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    ".flo": read_flo,
    ".pfm": read_pfm,
    ".png": read_kitti_png,
    ".npy": read_npy,
    ".npz": read_npz,
    ".flo5": read_flo5,
}
WRITERS: dict[str, Callable[..., None]] = {
    ".flo": write_flo,
    ".pfm": write_pfm,
    ".png": write_kitti_png,
    ".npy": write_npy,
    ".npz": write_npz,
    ".flo5": write_flo5,
}


def read_flow(path: str | PathLike[str]) -> tuple[Tensor, Tensor]:
    """Read a flow field by its suffix: ``.flo`` (Baker et al. 2011), ``.pfm``, ``.png`` (KITTI 2015).

    Returns ``(flow, valid)``: float32 ``(2, H, W)`` in pixels (channel 0 = x, 1 = y, zero where unknown)
    and bool ``(H, W)``. Raises ``InputError`` with one line that names the file.

    Example:
        >>> import tempfile, torch
        >>> from sevenfold.flow import write_flow
        >>> file = tempfile.mkdtemp() + "/flow.flo"
        >>> write_flow(file, torch.ones(2, 4, 5))
        >>> flow, valid = read_flow(file)
        >>> flow.shape, bool(valid.all())
        (torch.Size([2, 4, 5]), True)
    """
    return READERS[_known_suffix(path)](path)


def write_flow(
    path: str | PathLike[str], flow: Tensor, valid: Tensor | None = None, *, clip: bool = False
) -> None:
    """Write ``flow`` (2, H, W) and its validity (H, W; default: all) in the format of the suffix.

    ``clip``: write the nearest value where a format cannot hold one (KITTI's, from 512 px on), with a
    warning; otherwise that is an error.

    Example:
        >>> import os, tempfile, torch
        >>> file = tempfile.mkdtemp() + "/flow.png"  # KITTI's 16-bit format
        >>> write_flow(file, torch.zeros(2, 4, 5))
        >>> os.path.isfile(file)
        True
    """
    suffix = _known_suffix(path)
    WRITERS[suffix](path, flow, valid, **({"clip": clip} if suffix == ".png" else {}))


def _known_suffix(path: str | PathLike[str]) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in READERS:
        raise InputError(f"{path}: '{suffix}' is no format of flow; known are {', '.join(READERS)}")
    return suffix
