"""Augmentation that moves pixels, and the flow with them: resize, flip, crop."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sevenfold.flow.sample import Draw, Sample


def resize(sample: Sample, size: tuple[int, int]) -> Sample:
    """Resize a sample to (height, width) bilinearly; flow grows with the picture.

    A pixel stays valid if everything it was interpolated from is.
    """
    flow = _bilinear(torch.where(sample.valid, sample.flow, 0.0), size) * _growth(sample, size)
    valid = _bilinear(sample.valid[None].to(flow.dtype), size)[0] > 1 - 1e-6
    return Sample(
        _bilinear(sample.image1, size),
        _bilinear(sample.image2, size),
        torch.where(valid, flow, 0.0),
        valid,
    )


def resize_sparse(sample: Sample, size: tuple[int, int]) -> Sample:
    """Resize frames bilinearly to (height, width), but move each valid flow vector to its rounded new place.

    Nothing is interpolated: a pixel that no vector lands on is invalid. Pixel x covers [x, x + 1) and so
    moves to s (x + 1/2) - 1/2, as it does in the frames. Where vectors meet, the last in reading order wins.
    """
    # Interpolating between a vector and nothing would invent motion: sparse truth moves, it is not blended.
    growth = _growth(sample, size)
    places = sample.valid.nonzero()  # (N, 2): y, x
    vectors = sample.flow[:, sample.valid]  # (2, N)
    target = ((places + 0.5) * growth.flatten().flip(0) - 0.5).round().long()
    target = torch.minimum(target.clamp(min=0), torch.tensor(size) - 1)
    cell = target[:, 0] * size[1] + target[:, 1]
    winner = torch.full((size[0] * size[1],), -1).scatter_reduce(
        0, cell, torch.arange(len(cell)), "amax", include_self=True
    )
    valid = winner >= 0
    flow = torch.zeros(2, len(winner), dtype=sample.flow.dtype)
    flow[:, valid] = vectors[:, winner[valid]] * growth.flatten()[:, None]
    return Sample(
        _bilinear(sample.image1, size),
        _bilinear(sample.image2, size),
        flow.unflatten(1, size),
        valid.unflatten(0, size),
    )


def flip(sample: Sample, *, x: bool, y: bool) -> Sample:
    """Mirror a sample left to right (``x``) or top to bottom (``y``), or both."""
    axes = [axis for axis, wanted in ((-1, x), (-2, y)) if wanted]
    if not axes:
        return sample
    image1, image2, flow, valid = (field.flip(axes) for field in sample)
    signs = torch.tensor([-1.0 if x else 1.0, -1.0 if y else 1.0], dtype=flow.dtype)[:, None, None]
    return Sample(image1, image2, flow * signs, valid)


def crop(sample: Sample, size: tuple[int, int], draw: Draw, *, margin: tuple[int, int] = (0, 0)) -> Sample:
    """Cut out (height, width) px at a random place.

    The corner is drawn from a range that is larger than possible by ``margin`` (down, across) and clipped,
    so that the borders, where motion is largest when driving, come up more often; upwards there is no margin.
    """
    (height, width), (down, across) = sample.size, margin
    spare_y, spare_x = height - size[0], width - size[1]
    top = min(draw.integer(0, spare_y + down), spare_y)
    left = min(max(draw.integer(-across, spare_x + across), 0), spare_x)
    return Sample(*(field[..., top : top + size[0], left : left + size[1]] for field in sample))


def _growth(sample: Sample, size: tuple[int, int]) -> Tensor:
    """Return by how much a resize stretches x and y, (2, 1, 1)."""
    height, width = sample.size
    return torch.tensor([size[1] / width, size[0] / height], dtype=sample.flow.dtype)[:, None, None]


def _bilinear(field: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate(field[None], size=size, mode="bilinear", align_corners=False)[0]
