"""KITTI's 16-bit PNG: red and green hold 64 * flow + 2**15, blue holds validity.

Pillow reads such a file as eight bits. It unpacks either byte of a sample on request, however, so two
readings of the same file give all sixteen (torchvision's own decoder, the other choice, is being removed).
"""

import io
import struct
import warnings
import zlib
from os import PathLike

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.flow.formats.files import check_field, read_bytes, replace_bytes

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SCALE, OFFSET = 64.0, 2.0**15
LARGEST = 512.0  # px
HIGH_BYTE, LOW_BYTE = "RGB;16B", "RGB;16L"  # Pillow keeps the first or the second byte of each sample


def read_kitti_png(path: str | PathLike[str]) -> tuple[Tensor, Tensor]:
    """Read a KITTI flow file: flow float32 (2, H, W) in pixels, zero where invalid, and valid bool (H, W)."""
    samples = read_png16(path).astype(np.float32).transpose(2, 0, 1)
    valid = torch.from_numpy(samples[2] > 0)
    return torch.where(valid, torch.from_numpy((samples[:2] - OFFSET) / SCALE), 0.0), valid


def write_kitti_png(
    path: str | PathLike[str], flow: Tensor, valid: Tensor | None = None, *, clip: bool = False
) -> None:
    """Write ``flow`` (2, H, W) rounded to 1/64 px, and zero outside ``valid``.

    The format ends at 512 px: faster pixels raise ``InputError`` with their number; with ``clip`` they are
    written as the nearest value, with a warning.
    """
    valid = check_field(flow, valid)
    beyond = int(((flow.detach().cpu().abs() >= LARGEST).any(dim=0) & valid).sum())
    if beyond:
        message = f"{path}: {beyond} pixels move by {LARGEST:g} px or more along an axis, beyond the format"
        if not clip:
            raise InputError(f"{message}; write .flo, or clip them (clip=True)")
        warnings.warn(f"{message}: clipped", stacklevel=2)
    coded = (flow.detach().cpu().double() * SCALE + OFFSET).round().clamp(0, 2**16 - 1)
    samples = torch.cat([torch.where(valid, coded, 0.0), valid[None].double()])
    replace_bytes(path, _encode_png16(samples.permute(1, 2, 0).numpy().astype(np.uint16)))


def is_png16(content: bytes) -> bool:
    """Tell whether a file's content is a 16-bit color PNG."""
    return content[:8] == SIGNATURE and content[24:26] == b"\x10\x02"  # bit depth 16, color type RGB


def read_png16(path: str | PathLike[str]) -> np.ndarray:
    """Return the (H, W, 3) uint16 samples of a 16-bit color PNG."""
    content = read_bytes(path)
    if not is_png16(content):
        raise InputError(f"{path}: not a 16-bit color PNG, so not a KITTI flow file (a picture, perhaps?)")
    high, low = (_unpack(path, content, mode) for mode in (HIGH_BYTE, LOW_BYTE))
    return high.astype(np.uint16) << 8 | low


def _unpack(path: str | PathLike[str], content: bytes, mode: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.tile = [tile._replace(args=mode) for tile in picture.tile]
            return np.asarray(picture)
    except (OSError, SyntaxError) as error:
        raise InputError(f"{path}: damaged PNG ({error}); fetch the file again") from None


def _encode_png16(samples: np.ndarray) -> bytes:
    """Encode (H, W, 3) uint16 samples as PNG (every row with the filter "none")."""
    height, width, _ = samples.shape
    rows = np.zeros((height, 1 + 6 * width), dtype=np.uint8)  # the filter's number comes first in a row
    rows[:, 1:] = np.frombuffer(samples.astype(">u2").tobytes(), np.uint8).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    )
