"""Middlebury ``.flo``, little endian: tag 202021.25, int32 width and height, float32 (u, v) row by row."""

import struct
from os import PathLike

import numpy as np
import torch
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.flow.formats.files import check_field, mask_unknown, read_bytes, replace_bytes

TAG = struct.pack("<f", 202021.25)  # the bytes "PIEH"
HEADER = struct.Struct("<4sii")
UNKNOWN = 1e10  # what is stored where the flow is unknown
LIMIT = 1e9  # values beyond mean "unknown" (Baker et al., 2011)


def read_flo(path: str | PathLike[str]) -> tuple[Tensor, Tensor]:
    """Read a ``.flo`` file: flow float32 (2, H, W) in pixels, zero where unknown, and valid bool (H, W)."""
    content = read_bytes(path)
    if len(content) < HEADER.size or content[:4] != TAG:
        raise InputError(
            f"{path}: not a .flo file (the tag PIEH is missing); a wrong or damaged file, replace it"
        )
    _, width, height = HEADER.unpack_from(content)
    if width < 1 or height < 1:
        raise InputError(f"{path}: damaged header, size {width}x{height}; fetch the file again")
    expected = HEADER.size + 8 * width * height
    if len(content) != expected:
        raise InputError(
            f"{path}: has {len(content)} bytes, a {width}x{height} flow has {expected}; fetch the file again"
        )
    values = np.frombuffer(content, dtype="<f4", offset=HEADER.size).reshape(height, width, 2)
    return mask_unknown(torch.from_numpy(values.transpose(2, 0, 1).astype(np.float32)), LIMIT)


def write_flo(path: str | PathLike[str], flow: Tensor, valid: Tensor | None = None) -> None:
    """Write ``flow`` (2, H, W) as ``.flo``; pixels outside ``valid`` (H, W) are stored as unknown."""
    valid = check_field(flow, valid)
    values = torch.where(valid, flow.detach().cpu().float(), UNKNOWN).permute(1, 2, 0).numpy()
    header = HEADER.pack(TAG, flow.shape[2], flow.shape[1])
    replace_bytes(path, header + values.astype("<f4").tobytes())
