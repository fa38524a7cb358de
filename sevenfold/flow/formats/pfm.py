"""Portable float map (FlyingThings3D): three float32 channels (u, v, unused), rows from the bottom up."""

import re
from os import PathLike

import numpy as np
import torch
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.flow.formats.files import check_field, mask_unknown, read_bytes, replace_bytes

HEADER = re.compile(rb"(PF|Pf)(?:\s+#[^\n]*)*\s+(\d+)\s+(\d+)\s+([-+.\deE]+)[ \t\r]*\n")
LIMIT = 1e9  # the format has no mark for unknown values; these cannot be motions


def read_pfm(path: str | PathLike[str]) -> tuple[Tensor, Tensor]:
    """Read flow from a color ``.pfm`` file: flow float32 (2, H, W) in pixels and valid bool (H, W).

    The sign of the scale gives the byte order (negative: little endian); its size is ignored, as is the third
    channel.
    """
    content = read_bytes(path)
    header = HEADER.match(content)
    if header is None:
        raise InputError(f"{path}: not a .pfm file (damaged header); replace it")
    if header[1] == b"Pf":
        raise InputError(f"{path}: has one channel, flow needs a color (PF) map; is this a disparity map?")
    width, height = int(header[2]), int(header[3])
    expected = header.end() + 12 * width * height
    if len(content) != expected or not width * height:
        raise InputError(
            f"{path}: has {len(content)} bytes, a {width}x{height} map has {expected}; fetch the file again"
        )
    order = "<" if float(header[4]) < 0 else ">"
    values = np.frombuffer(content, dtype=f"{order}f4", offset=header.end()).reshape(height, width, 3)
    return mask_unknown(torch.from_numpy(values[::-1, :, :2].transpose(2, 0, 1).astype(np.float32)), LIMIT)


def write_pfm(path: str | PathLike[str], flow: Tensor, valid: Tensor | None = None) -> None:
    """Write ``flow`` (2, H, W) as little-endian ``.pfm``; pixels outside ``valid`` (H, W) become NaN."""
    valid = check_field(flow, valid)
    _, height, width = flow.shape
    values = np.zeros((height, width, 3), dtype="<f4")
    values[..., :2] = torch.where(valid, flow.detach().cpu().float(), float("nan")).permute(1, 2, 0).numpy()
    replace_bytes(path, f"PF\n{width} {height}\n-1.0\n".encode() + values[::-1].tobytes())
