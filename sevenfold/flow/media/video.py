"""Videos in and out: GIF through Pillow, all else through PyAV (extra ``video``)."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import numpy as np
import torch
from PIL import Image, ImageSequence
from torch import Tensor

from sevenfold.errors import InputError, one_line
from sevenfold.files import replace_file
from sevenfold.flow.media.inputs import Frame

QUALITY = "14"  # of H.264, 0 to 51: finer than the usual 23, for coarse colors blur hues


def codecs(path: str | Path) -> ModuleType:
    """Return PyAV, without which ``path`` cannot be read or written."""
    try:
        import av
    except ModuleNotFoundError:
        raise InputError(
            f"{path}: videos need the extra 'video': pip install 'sevenfold[video]'; folders of frames and "
            "GIF work without"
        ) from None
    return av


def read_video(path: str | Path) -> Iterator[Frame]:
    """Read the frames of a video one by one, upright, with the times at which they are shown."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return _gif_frames(path) if path.suffix.lower() == ".gif" else _coded_frames(path)


def frame_rate(path: str | Path) -> Fraction:
    """Return the mean frames per second of a video; 10 for pictures and GIF."""
    if Path(path).suffix.lower() == ".gif":
        return Fraction(10)
    with codecs(path).open(str(path)) as container:
        return Fraction(container.streams.video[0].average_rate or 25)


def _gif_frames(path: Path) -> Iterator[Frame]:
    try:
        with Image.open(path) as picture:
            time = 0.0
            for index, frame in enumerate(ImageSequence.Iterator(picture)):
                pixels = np.asarray(frame.convert("RGB"))
                yield Frame(_image(pixels), f"{index:06d}", time)
                time = round(time + frame.info.get("duration", 100) / 1000, 6)
    except (OSError, SyntaxError) as error:
        raise InputError(f"{path}: damaged ({one_line(error)}); make it again") from None


def _coded_frames(path: Path) -> Iterator[Frame]:
    av = codecs(path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path}: holds no pictures")
            for index, frame in enumerate(container.decode(video=0)):
                pixels = frame.to_ndarray(format="rgb24")
                # Phones store pictures as the sensor lies and say by how much to turn them.
                turned = np.rot90(pixels, round((frame.rotation or 0) / 90) % 4)
                yield Frame(_image(turned), f"{index:06d}", float(frame.time or 0.0))
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: damaged or no video ({one_line(error)})") from None


def _image(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float() / 255


def video_writer(stem: Path, rate: Fraction) -> "VideoWriter":
    """Return a writer of ``stem``.mp4, or of ``stem``.gif where there is no codec."""
    try:
        return VideoWriter(stem.with_name(stem.name + ".mp4"), rate)
    except InputError:
        return VideoWriter(stem.with_name(stem.name + ".gif"), rate)


class VideoWriter:
    """Write uint8 pictures (3, H, W) as ``.mp4`` (H.264), ``.webm`` (VP9) or ``.gif``, at their times.

    Odd sides are padded by one repeated row or column, which these codecs need. A context manager: the file
    is there, whole, when the block is left.

    Args:
        path: the file.
        rate: frames a second where pictures come without times.
    """

    def __init__(self, path: str | Path, rate: Fraction = Fraction(10)) -> None:
        self.path, self.rate = Path(path), rate
        self.library = None if self.path.suffix == ".gif" else codecs(path)
        self.pictures: list[Image.Image] = []
        self._container: Any = None
        self._stream: Any = None
        self._count = 0

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._replacing = replace_file(self.path)
        self._temporary = self._replacing.__enter__()
        return self

    def add(self, picture: Tensor) -> None:
        """Append a picture."""
        pixels = picture.permute(1, 2, 0).cpu().numpy()
        if self.library is None:
            self.pictures.append(Image.fromarray(pixels).quantize(method=Image.Quantize.FASTOCTREE))
            return
        height, width = pixels.shape[:2]
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._container is None:
            self._open(pixels.shape[1], pixels.shape[0])
        frame = self.library.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = self._count, 1 / self.rate
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def _open(self, width: int, height: int) -> None:
        assert self.library is not None
        webm = self.path.suffix == ".webm"
        self._container = self.library.open(str(self._temporary), "w")
        self._stream = self._container.add_stream("libvpx-vp9" if webm else "libx264", rate=self.rate)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.options = {"crf": QUALITY}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._container is not None:
            self._container.mux(self._stream.encode())
            self._container.close()
        elif self.pictures and kind is None:
            first, *rest = self.pictures
            duration = round(1000 / float(self.rate))
            first.save(self._temporary, "GIF", save_all=True, append_images=rest, duration=duration, loop=0)
        self._replacing.__exit__(kind, error, trace)
