"""Moving pictures: animated GIF, which needs no video encoder."""

import io
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path

from PIL import Image

from sevenfold.flow.formats.files import replace_bytes


def write_animation(
    path: str | PathLike[str], pictures: Iterable[Path], *, seconds: float = 0.1, width: int = 480
) -> None:
    """Write picture files as an endless animated GIF, ``seconds`` each, at most ``width`` px wide.

    The pictures are read one by one, so that a long video takes little memory.
    """
    frames = _frames(pictures, width)
    first = next(frames, None)
    if first is None:
        raise ValueError("an animation needs at least one picture")
    buffer = io.BytesIO()
    first.save(
        buffer,
        "GIF",
        save_all=True,
        append_images=frames,
        duration=round(1000 * seconds),
        loop=0,
        optimize=False,
    )
    replace_bytes(path, buffer.getvalue())


def _frames(pictures: Iterable[Path], width: int) -> Iterator[Image.Image]:
    for path in pictures:
        with Image.open(path) as picture:
            frame = picture.convert("RGB")
        if frame.width > width:
            frame = frame.resize((width, max(1, round(frame.height * width / frame.width))))
        yield frame
