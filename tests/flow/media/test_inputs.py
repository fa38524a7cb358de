import numpy as np
import pytest
import torch
from PIL import Image

from sevenfold.errors import InputError
from sevenfold.flow.formats import write_image
from sevenfold.flow.media.inputs import find_clips, picture


def pixels(height=5, width=7):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def frames(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_image(folder / name, torch.zeros(3, 4, 4, dtype=torch.uint8))
    return folder


def test_all_forms_of_one_picture_are_equal(tmp_path):
    bytes_ = pixels()
    Image.fromarray(bytes_).save(tmp_path / "a.png")
    expected = torch.from_numpy(bytes_.transpose(2, 0, 1).astype(np.float32) / 255)
    forms = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        Image.fromarray(bytes_),
        bytes_,
        torch.from_numpy(bytes_),
        expected,
    ]
    for form in [*forms, bytes_.astype(np.float64) / 255, expected[None]]:
        torch.testing.assert_close(picture(form), expected, rtol=0, atol=1e-7)
    assert torch.equal(picture(forms[0]), picture(bytes_))


def test_sixteen_bits_are_divided_by_their_largest_value(tmp_path):
    bytes_ = pixels()
    wide = bytes_.astype(np.uint16) * 257
    torch.testing.assert_close(picture(wide), picture(bytes_))
    from sevenfold.flow.formats.kitti_png import _encode_png16

    (tmp_path / "wide.png").write_bytes(_encode_png16(wide))
    torch.testing.assert_close(picture(tmp_path / "wide.png"), picture(bytes_), rtol=0, atol=1e-6)
    Image.fromarray(wide[..., 0]).save(tmp_path / "gray.png")
    torch.testing.assert_close(picture(tmp_path / "gray.png")[1], picture(bytes_)[0], rtol=0, atol=1e-6)


def test_orientation_is_applied(tmp_path):
    image = Image.fromarray(pixels())
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    image.save(tmp_path / "phone.png", exif=exif)
    turned = torch.from_numpy(np.rot90(pixels(), -1).transpose(2, 0, 1).astype(np.float32) / 255)
    assert torch.equal(picture(tmp_path / "phone.png"), turned)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (pixels().astype(np.float32), "floats must lie in \\[0, 1\\], got .* to 2\\d\\d; divide by 255"),
        (np.full((4, 4, 3), 2000.0), "got 2000 to 2000; bring them"),
        (np.full((4, 4, 3), np.nan), "replace what is not finite"),
        (np.zeros((4, 4, 2)), "expected \\(H, W, 3\\)"),
        (np.full((4, 4, 3), 300), "0..255, got 300 to 300"),
        (np.zeros((4, 4, 3), bool), "truth values"),
        (np.full((2, 2), "a"), "expected a picture"),
    ],
)
def test_what_is_no_picture_is_refused(value, message):
    with pytest.raises(InputError, match=message):
        picture(value)


def test_a_gap_is_no_cut(tmp_path):
    folder = frames(tmp_path / "clip", *(f"f{n}.png" for n in (0, 2, 4, 10)))
    (clip,) = find_clips([folder])
    assert clip.name == "clip" and [path.stem for path in clip.paths] == ["f0", "f2", "f4", "f10"]
    first, *others = find_clips([folder], cut=3)
    assert [path.stem for path in first.paths] == ["f0", "f2", "f4"] and not others


def test_natural_order_and_prefixes(tmp_path):
    folder = frames(tmp_path / "clip", "f9.png", "f10.png", "g1.png", "g2.png")
    clips = find_clips([folder])
    assert [(clip.name, [path.stem for path in clip.paths]) for clip in clips] == [
        ("f", ["f9", "f10"]),
        ("g", ["g1", "g2"]),
    ]
    (clip,) = find_clips([str(folder / "f*.png"), folder / "g1.png"])
    assert [path.stem for path in clip.paths] == ["f9", "f10", "g1"]


def test_two_pictures_are_a_pair_whatever_their_names(tmp_path):
    frames(tmp_path, "right.png", "left.png")
    (clip,) = find_clips([tmp_path / "right.png", tmp_path / "left.png"])
    assert [path.stem for path in clip.paths] == ["right", "left"]
    (clip,) = find_clips([tmp_path])
    assert [path.stem for path in clip.paths] == ["left", "right"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["absent.png"], "absent.png: no such file"),
        (["*.png"], "no file fits"),
        (["one.png"], "needs two pictures"),
        (["one.png", "notes.txt"], "'.txt' is neither picture nor video"),
        (["empty"], "no two pictures and no video"),
    ],
)
def test_paths_without_flow_are_refused(tmp_path, names, message):
    (tmp_path / "empty").mkdir()
    if "one.png" in names:
        frames(tmp_path, "one.png")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match=message):
        find_clips([tmp_path / name for name in names])


def test_a_table_of_pairs(tmp_path):
    for name in ("a/1", "a/2", "b/1", "b/2"):
        write_image(tmp_path / f"{name}.png", torch.zeros(3, 8, 8, dtype=torch.uint8))
    (tmp_path / "pairs.csv").write_text("image1,image2\na/1.png,a/2.png\nb/2.png,b/1.png\n")
    clips = find_clips([tmp_path / "pairs.csv"])
    assert [(clip.name, [path.stem for path in clip.paths]) for clip in clips] == [
        ("1", ["1", "2"]),
        ("2", ["2", "1"]),
    ]
    (tmp_path / "pairs.tsv").write_text("image1\timage2\na/1.png\ta/2.png\nb/1.png\tb/2.png\n")
    assert [clip.name for clip in find_clips([tmp_path / "pairs.tsv"])] == ["000000_1", "000001_1"]
