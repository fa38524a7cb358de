"""Pictures as tensors: anything Pillow opens with eight bits a channel."""

import io
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sevenfold.errors import InputError
from sevenfold.flow.formats.files import read_bytes, replace_bytes


def read_image(path: str | PathLike[str]) -> Tensor:
    """Read a picture as float32 RGB (3, H, W) in [0, 1]; gray is repeated, transparency dropped.

    Raises ``InputError`` with one line that names the file.
    """
    content = read_bytes(path)
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.mode.startswith(("I", "F")):
                raise InputError(f"{path}: has more than eight bits a channel; convert it to eight")
            values = np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError) as error:
        reason = "not a picture" if isinstance(error, Image.UnidentifiedImageError) else f"damaged ({error})"
        raise InputError(f"{path}: {reason}; fetch the file again") from None
    return torch.from_numpy(values.transpose(2, 0, 1).astype(np.float32) / 255)


def write_image(path: str | PathLike[str], image: Tensor) -> None:
    """Write a uint8 RGB picture (3, H, W) in the format of the file's suffix."""
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != torch.uint8:
        raise ValueError(f"a picture is uint8 (3, H, W), got {image.dtype} {tuple(image.shape)}")
    buffer = io.BytesIO()
    kind = Image.registered_extensions().get(Path(path).suffix.lower(), "PNG")
    Image.fromarray(image.permute(1, 2, 0).cpu().numpy()).save(buffer, kind)
    replace_bytes(path, buffer.getvalue())
