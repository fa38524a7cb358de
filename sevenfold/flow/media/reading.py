"""Frames of a clip, where damaged ones may be left out."""

from collections.abc import Callable, Iterator

from sevenfold.errors import InputError
from sevenfold.flow.media.inputs import Clip, Frame, picture
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
