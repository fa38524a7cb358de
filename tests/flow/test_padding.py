import pytest
import torch

from sevenfold.flow.padding import amounts, pad, unpad


@pytest.mark.parametrize(
    ("height", "width", "mode", "expected"),
    [
        (436, 1024, "sintel", (0, 0, 2, 2)),
        (375, 1242, "kitti", (3, 3, 0, 1)),
        (370, 1224, "kitti", (0, 0, 0, 6)),
        (388, 584, "sintel", (0, 0, 2, 2)),
        (380, 420, "sintel", (2, 2, 2, 2)),
        (9, 11, "sintel", (2, 3, 3, 4)),
        (384, 512, "kitti", (0, 0, 0, 0)),
    ],
)
def test_amounts(height, width, mode, expected):
    assert amounts(height, width, mode=mode) == expected


@pytest.mark.parametrize("mode", ["sintel", "kitti"])
@pytest.mark.parametrize("size", [(9, 11), (16, 8), (1, 1), (23, 17)])
@pytest.mark.parametrize("multiple", [1, 4, 8, 64])
def test_round_trip(mode, size, multiple):
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    padded, added = pad(image, multiple, mode)
    assert padded.shape[-2] % multiple == 0 and padded.shape[-1] % multiple == 0
    assert max(added) < multiple
    assert torch.equal(unpad(padded, added), image)
    assert torch.equal(unpad(padded[:, 0] > 0.5, added), image[:, 0] > 0.5)
    assert torch.equal(pad(image[0], multiple, mode)[0], padded[0])


def test_borders_are_replicated():
    image = torch.arange(6.0).reshape(1, 2, 3)
    padded, _ = pad(image, 4, "kitti")
    assert padded[0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]


def test_unknown_rule():
    with pytest.raises(ValueError, match="'chairs' is unknown"):
        pad(torch.zeros(3, 9, 9), mode="chairs")
