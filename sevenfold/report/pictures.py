"""Pictures of a page: scaled, embedded as data URLs, within a budget of bytes."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

WIDEST = 1200  # pixels
LARGE = 150_000  # bytes from which a picture is reduced to 256 colors
BUDGET = 1_300_000  # bytes of all pictures of a page, which base64 makes 1.7 MB


@dataclass(frozen=True)
class Picture:
    """A caption and the address of a picture: a data URL, or a file beside the page where it is too large."""

    caption: str
    url: str
    embedded: bool


def embed(files: Iterable[tuple[str, Path]], page: Path) -> list[Picture]:
    """Return pictures for the page in folder ``page``, in order, those beyond the budget as links.

    Args:
        files: captions and files; one that cannot be read is left out.
        page: folder that links are relative to.
    """
    pictures, spent = [], 0
    for caption, path in files:
        content = scaled(path) if path.is_file() else None
        if content is None:
            continue
        if spent + len(content) > BUDGET:
            pictures.append(Picture(caption, _relative(path, page), False))
            continue
        spent += len(content)
        data = base64.b64encode(content).decode()
        pictures.append(Picture(caption, f"data:image/{path.suffix[1:]};base64,{data}", True))
    return pictures


def scaled(path: Path) -> bytes | None:
    """Return a picture's file at most :data:`WIDEST` pixels wide; None where it is no picture.

    Animations are left as they are.
    """
    from PIL import Image, UnidentifiedImageError

    content = path.read_bytes()
    try:
        with Image.open(path) as image:
            if getattr(image, "is_animated", False) or (image.width <= WIDEST and len(content) <= LARGE):
                return content
            picture = image.convert("RGB")
    except (UnidentifiedImageError, OSError):
        return None
    if picture.width > WIDEST:
        size = (WIDEST, round(picture.height * WIDEST / picture.width))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    # A photograph can be smaller as it was.
    return min(content, buffer.getvalue(), key=len) if picture.width <= WIDEST else buffer.getvalue()


def _relative(path: Path, folder: Path) -> str:
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return path.resolve().as_uri()
