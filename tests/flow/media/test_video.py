from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from sevenfold.errors import InputError
from sevenfold.flow.media import video
from sevenfold.flow.media.video import VideoWriter, frame_rate, read_video


def pictures(count, height=33, width=47):
    """Frames of a smooth pattern that moves, which codecs keep."""
    y, x = np.mgrid[:height, :width]
    frames = [128 + 100 * np.sin((x + 2 * t) / 9) * np.cos(y / 7) for t in range(count)]
    return [torch.from_numpy(np.stack([f, f[::-1], 255 - f]).astype(np.uint8)) for f in frames]


def test_times_of_a_gif_are_exact(tmp_path):
    path = tmp_path / "clip.gif"
    first, *rest = [Image.fromarray(p.permute(1, 2, 0).numpy()).quantize() for p in pictures(4)]
    first.save(path, save_all=True, append_images=rest, duration=[40, 40, 120, 40])
    frames = list(read_video(path))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.20], abs=1e-3)
    with Image.open(path) as picture:
        picture.seek(2)
        pixels = np.asarray(picture.convert("RGB"))
    assert torch.equal(
        (frames[2].image * 255).round().byte(), torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    )


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_written_video_is_read_again(tmp_path, suffix):
    av = pytest.importorskip("av")
    path = tmp_path / f"clip{suffix}"
    with VideoWriter(path, Fraction(25)) as writer:
        for picture in pictures(5):
            writer.add(picture)
    frames = list(read_video(path))
    assert len(frames) == 5 and frame_rate(path) == 25
    assert [frame.time for frame in frames] == pytest.approx([i / 25 for i in range(5)], abs=2e-3)
    for frame, picture in zip(frames, pictures(5), strict=True):
        assert frame.image.shape == (3, 34, 48)  # odd sides are padded
        assert (frame.image[:, :33, :47] * 255 - picture).abs().mean() < 6  # half as many values of color
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (
            stream.codec_context.name == {".mp4": "h264", ".webm": "libvpx-vp9"}.get(suffix)
            or suffix == ".webm"
        )


def test_a_gif_needs_no_codec(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "codecs", None)
    with VideoWriter(tmp_path / "clip.gif", Fraction(10)) as writer:
        for picture in pictures(3):
            writer.add(picture)
    assert len(list(read_video(tmp_path / "clip.gif"))) == 3


def test_without_codecs_the_extra_is_named(tmp_path, monkeypatch):
    import builtins

    before = builtins.__import__

    def refuse(name, *arguments, **options):
        if name == "av":
            raise ModuleNotFoundError(name)
        return before(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    (tmp_path / "clip.mp4").write_bytes(b"")
    with pytest.raises(InputError, match="videos need the extra 'video'"):
        list(read_video(tmp_path / "clip.mp4"))


def test_a_damaged_video_is_named(tmp_path):
    pytest.importorskip("av")
    (tmp_path / "clip.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(InputError, match="clip.mp4: damaged or no video"):
        list(read_video(tmp_path / "clip.mp4"))
    (tmp_path / "clip.gif").write_bytes(b"no video")
    with pytest.raises(InputError, match="clip.gif: damaged"):
        list(read_video(tmp_path / "clip.gif"))


def test_a_failed_video_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "clip.gif") as writer:
        writer.add(pictures(1)[0])
        raise RuntimeError("stop")
    assert not list(tmp_path.iterdir())
