"""Frames of whatever holds them: a clip, where damaged ones may be left out, or a source of the user's."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from sevenfold.errors import InputError
from sevenfold.flow.media.inputs import Clip, Frame, find_clips, picture
from sevenfold.flow.media.video import read_video

RATE = 10.0  # frames a second of pictures, which have no times


def clip_frames(clip: Clip, damaged: Callable[[str], None] | None) -> Iterator[Frame]:
    """Yield a clip's frames one by one; ``damaged`` is called with the error of each that cannot be read.

    Without it the first such frame raises ``InputError``. A video ends where it is damaged.
    """
    if clip.video:
        try:
            yield from read_video(clip.paths[0])
        except InputError as error:
            if damaged is None:
                raise
            damaged(str(error))
        return
    for index, path in enumerate(clip.paths):
        try:
            frame = Frame(picture(path), path.stem, index / RATE)
        except InputError as error:
            if damaged is None:
                raise
            damaged(str(error))
            continue
        yield frame


def frames(source: Any) -> Iterator[Frame]:
    """Yield the frames of a source one by one."""
    if isinstance(source, str | Path):
        (clip, *others) = find_clips([source])
        if others:
            raise InputError(f"{source}: holds {len(others) + 1} sequences; stream them one by one")
        yield from clip_frames(clip, None)
        return
    if not isinstance(source, Iterable):
        raise InputError(f"expected a video, a folder or pictures, got {type(source).__name__}")
    for index, item in enumerate(source):
        if isinstance(item, Frame):
            yield item
        else:
            name = Path(item).stem if isinstance(item, str | Path) else f"{index:06d}"
            yield Frame(picture(item, f"frame {index}"), name, index / RATE)
