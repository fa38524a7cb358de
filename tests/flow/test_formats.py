import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import _optical_flow as torchvision_flow

from sevenfold.errors import InputError
from sevenfold.flow.formats import read_flow, read_image, write_flow, write_image

REAL = Path(__file__).resolve().parents[2] / "../shared/data/flow"
needs_real = pytest.mark.skipif(
    not REAL.is_dir(), reason="the small real flow data are not beside the project"
)
SUFFIXES = [".flo", ".pfm", ".png"]


def some_flow(height=5, width=7):
    flow = 40 * torch.randn(2, height, width, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(height, width, dtype=torch.bool)
    valid[1, 2:4] = False
    return torch.where(valid, flow, 0.0), valid


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [(5, 7), (1, 1), (3, 64)])
def test_check_12_round_trip(tmp_path, suffix, size):
    flow, valid = some_flow(*size) if size == (5, 7) else (torch.rand(2, *size), torch.ones(size).bool())
    write_flow(tmp_path / f"a{suffix}", flow, valid)
    again, mask = read_flow(tmp_path / f"a{suffix}")
    assert again.dtype == torch.float32 and mask.dtype == torch.bool
    assert torch.equal(mask, valid)
    torch.testing.assert_close(again, flow, rtol=0, atol=1 / 128 if suffix == ".png" else 0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_float64_and_nan_outside_the_mask(tmp_path, suffix):
    flow, valid = some_flow()
    write_flow(tmp_path / f"a{suffix}", torch.where(valid, flow, float("nan")).double(), valid)
    again, mask = read_flow(tmp_path / f"a{suffix}")
    assert torch.equal(mask, valid) and not again[:, ~valid].any()
    torch.testing.assert_close(again, flow, rtol=0, atol=1 / 128 if suffix == ".png" else 0)


def test_bytes_of_flo(tmp_path):
    write_flow(tmp_path / "a.flo", torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]))
    assert (tmp_path / "a.flo").read_bytes() == b"PIEH" + struct.pack("<ii4f", 2, 1, 1, 3, 2, 4)


@pytest.mark.parametrize(("scale", "order"), [("-1.0", "<"), ("1.0", ">"), ("-0.0039", "<")])
def test_pfm_of_either_byte_order(tmp_path, scale, order):
    rows_from_below = np.arange(12, dtype=f"{order}f4").reshape(2, 2, 3)
    (tmp_path / "a.pfm").write_bytes(f"PF\n2 2\n{scale}\n".encode() + rows_from_below.tobytes())
    flow, valid = read_flow(tmp_path / "a.pfm")
    assert flow.tolist() == [[[6, 9], [0, 3]], [[7, 10], [1, 4]]] and valid.all()


@pytest.mark.parametrize(
    ("suffix", "reader"), [(".flo", torchvision_flow._read_flo), (".pfm", torchvision_flow._read_pfm)]
)
def test_torchvision_reads_the_same(tmp_path, suffix, reader):
    flow, _ = some_flow()
    write_flow(tmp_path / f"a{suffix}", flow)
    np.testing.assert_array_equal(reader(str(tmp_path / f"a{suffix}")), flow.numpy())


def test_check_12_kitti_png_rounds_and_clips(tmp_path):
    """Truncating, as the public code does, would bias the flow by up to 1/64 px."""
    flow = torch.tensor([[[0.0155, -0.0155, 1e4]], [[-1e4, 0.0079, 0.0]]])
    with pytest.warns(UserWarning, match="2 pixels"):
        write_flow(tmp_path / "a.png", flow, clip=True)
    again, _ = read_flow(tmp_path / "a.png")
    expected = [[1 / 64, -1 / 64, 511.984375], [-512.0, 1 / 64, 0.0]]
    assert again[:, 0].tolist() == expected


def test_kitti_png_is_a_plain_png(tmp_path):
    flow, valid = some_flow()
    write_flow(tmp_path / "a.png", flow, valid)
    with Image.open(tmp_path / "a.png") as picture:
        picture.verify()  # checks the checksums
    with Image.open(tmp_path / "a.png") as picture:
        eight_bits = np.asarray(picture)
    coded = torch.where(valid, (flow * 64 + 2**15).round(), 0.0)
    np.testing.assert_array_equal(eight_bits[..., :2].transpose(2, 0, 1), (coded // 256).numpy())


@needs_real
def test_check_12_real_kitti_file():
    flow, valid = read_flow(REAL / "kitti2015/flow_occ_000000_10.png")
    assert flow.shape == (2, 375, 1242)
    assert valid.double().mean().item() == pytest.approx(0.162, abs=5e-4)
    assert flow.abs().max().item() == 184.25
    assert not flow[:, ~valid].any()


@needs_real
@pytest.mark.filterwarnings("ignore:.*deprecated.*")
def test_real_kitti_file_against_torchvision():
    path = REAL / "kitti2015/flow_occ_000000_10.png"
    flow, valid = read_flow(path)
    other, mask = torchvision_flow._read_16bits_png_with_flow_and_valid_mask(str(path))
    np.testing.assert_array_equal(valid.numpy(), mask)
    np.testing.assert_array_equal(flow.numpy()[:, mask], other[:, mask])


@needs_real
def test_real_middlebury_unknown_pixels():
    flow, valid = read_flow(REAL / "middlebury/RubberWhale/flow10.flo")
    assert (~valid).double().mean().item() == pytest.approx(0.016, abs=5e-4)
    assert flow.abs().max() < 10 and not flow[:, ~valid].any()


def break_file(path, fault):
    content = path.read_bytes()
    broken = {
        "empty": b"",
        "half": content[: len(content) // 2],
        "longer": content + b"\0" * 40,
        "noise": bytes(range(256)) * 3,
        "tag": b"XXXX" + content[4:],
    }[fault]
    path.write_bytes(broken)


@pytest.mark.parametrize(
    ("suffix", "fault"),
    [(suffix, fault) for suffix in SUFFIXES for fault in ("empty", "half", "noise", "tag")]
    + [(".flo", "longer"), (".pfm", "longer")],
)
def test_damaged_flow_files_are_named(tmp_path, suffix, fault):
    path = tmp_path / f"broken{suffix}"
    write_flow(path, some_flow(30, 40)[0])
    break_file(path, fault)
    with pytest.raises(InputError, match=f"broken\\{suffix}: ") as caught:
        read_flow(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".ppm"])
@pytest.mark.parametrize("fault", ["empty", "half", "noise"])
def test_damaged_pictures_are_named(tmp_path, suffix, fault):
    path = tmp_path / f"broken{suffix}"
    noise = torch.randint(256, (3, 30, 40), generator=torch.Generator().manual_seed(0)).byte()
    write_image(path, noise)
    break_file(path, fault)
    with pytest.raises(InputError, match=f"broken\\{suffix}: ") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.flo", "a.pfm", "a.png"])
def test_missing_flow_file(tmp_path, name):
    with pytest.raises(InputError, match=f"{name}: no such file"):
        read_flow(tmp_path / name)


def test_a_picture_is_not_kitti_flow(tmp_path):
    write_image(tmp_path / "a.png", torch.zeros(3, 4, 4, dtype=torch.uint8))
    with pytest.raises(InputError, match="not a 16-bit color PNG"):
        read_flow(tmp_path / "a.png")


def test_disparity_map_and_unknown_suffix(tmp_path):
    (tmp_path / "a.pfm").write_bytes(b"Pf\n1 1\n-1\n" + bytes(4))
    with pytest.raises(InputError, match="one channel"):
        read_flow(tmp_path / "a.pfm")
    with pytest.raises(InputError, match=r"'\.exr' is no format of flow"):
        read_flow("a.exr")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_refuses_to_write_nonsense(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(ValueError, match=r"is \(2, H, W\)"):
        write_flow(path, torch.zeros(3, 4, 4))
    with pytest.raises(ValueError, match="validity of a"):
        write_flow(path, torch.zeros(2, 4, 4), torch.ones(4, 5))
    with pytest.raises(ValueError, match="NaN or infinite"):
        write_flow(path, torch.full((2, 4, 4), float("nan")))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.flo"
    write_flow(path, torch.ones(2, 4, 4))

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(sys.modules["sevenfold.flow.formats.files"].os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_flow(path, torch.zeros(2, 4, 4))
    monkeypatch.undo()
    assert torch.equal(read_flow(path)[0], torch.ones(2, 4, 4))
    assert [file.name for file in tmp_path.iterdir()] == ["a.flo"]


def test_pictures_as_tensors(tmp_path):
    picture = torch.arange(3 * 4 * 5, dtype=torch.uint8).reshape(3, 4, 5)
    write_image(tmp_path / "a.png", picture)
    image = read_image(tmp_path / "a.png")
    assert image.dtype == torch.float32
    assert torch.equal(image * 255, picture.float())
    Image.fromarray(np.full((4, 5), 51, dtype=np.uint8)).save(tmp_path / "gray.png")
    assert torch.equal(read_image(tmp_path / "gray.png"), torch.full((3, 4, 5), 0.2))


def test_sixteen_bit_gray_keeps_its_bits_and_more_are_refused(tmp_path):
    Image.fromarray(np.full((4, 5), 5000, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert torch.equal(read_image(tmp_path / "deep.png"), torch.full((3, 4, 5), 5000 / 65535))
    Image.fromarray(np.full((4, 5), 5000, dtype=np.int32)).save(tmp_path / "deeper.tif")
    with pytest.raises(InputError, match="more than sixteen bits"):
        read_image(tmp_path / "deeper.tif")
