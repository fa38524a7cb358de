"""Pictures as tensors: anything Pillow opens, with eight or sixteen bits a channel."""

import io
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.flow.formats.files import read_bytes, replace_bytes
from sevenfold.flow.formats.kitti_png import is_png16, read_png16


def read_image(path: str | PathLike[str]) -> Tensor:
    """Read a picture as float32 RGB (3, H, W) in [0, 1], upright; gray is repeated, transparency dropped.

    Eight or sixteen bits a channel. Raises ``InputError`` with one line that names the file.
    """
    content = read_bytes(path)
    if is_png16(content):
        return torch.from_numpy(read_png16(path).transpose(2, 0, 1).astype(np.float32) / 65535)
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return from_pillow(picture, str(path))
    except (OSError, SyntaxError) as error:
        reason = "not a picture" if isinstance(error, Image.UnidentifiedImageError) else f"damaged ({error})"
        raise InputError(f"{path}: {reason}; fetch the file again") from None


def from_pillow(picture: Image.Image, what: str) -> Tensor:
    """Return a Pillow image as float32 RGB (3, H, W) in [0, 1], turned as its EXIF orientation says."""
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I;16"):
        gray = np.asarray(upright).astype(np.float32) / 65535
        return torch.from_numpy(gray).expand(3, *gray.shape).contiguous()
    if upright.mode.startswith(("I", "F")):
        raise InputError(f"{what}: has more than sixteen bits a channel; convert it to eight or sixteen")
    values = np.asarray(upright.convert("RGB"))
    return torch.from_numpy(values.transpose(2, 0, 1).astype(np.float32) / 255)


def write_image(path: str | PathLike[str], image: Tensor) -> None:
    """Write a uint8 RGB picture (3, H, W) in the format of the file's suffix."""
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != torch.uint8:
        raise ValueError(f"a picture is uint8 (3, H, W), got {image.dtype} {tuple(image.shape)}")
    buffer = io.BytesIO()
    kind = Image.registered_extensions().get(Path(path).suffix.lower(), "PNG")
    Image.fromarray(image.permute(1, 2, 0).cpu().numpy()).save(buffer, kind)
    replace_bytes(path, buffer.getvalue())
