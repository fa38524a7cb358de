"""Augmentation that leaves the flow as it is: color, erased boxes, noise."""

import torch
from torch import Tensor
from torchvision.transforms import functional as tv

from sevenfold.flow.sample import Draw, Sample


def jitter(sample: Sample, draw: Draw, *, strength: float, hue: float, asymmetric: float) -> Sample:
    """Change brightness, contrast and saturation by factors 1 +- ``strength`` and hue by +- ``hue`` turns.

    The four changes come in random order (torchvision's ``ColorJitter``). With probability ``asymmetric``
    each frame has its own; else both have the same, and contrast refers to the mean of both.
    """
    if draw.chance(asymmetric):
        frames = [_jittered(frame, draw, strength, hue) for frame in (sample.image1, sample.image2)]
    else:
        both = _jittered(torch.cat([sample.image1, sample.image2], dim=1), draw, strength, hue)
        frames = list(both.chunk(2, dim=1))
    return sample._replace(image1=frames[0], image2=frames[1])


def _jittered(image: Tensor, draw: Draw, strength: float, hue: float) -> Tensor:
    low, high = 1 - strength, 1 + strength
    changes = (
        lambda x: tv.adjust_brightness(x, draw.uniform(low, high)),
        lambda x: tv.adjust_contrast(x, draw.uniform(low, high)),
        lambda x: tv.adjust_saturation(x, draw.uniform(low, high)),
        lambda x: tv.adjust_hue(x, draw.uniform(-hue, hue)),
    )
    for which in draw.order(4):
        image = changes[which](image)
    return image


def erase_boxes(sample: Sample, draw: Draw) -> Sample:
    """Fill one or two boxes of 50 to 99 px a side in frame 2 with its mean color, as if occluded."""
    height, width = sample.size
    image, mean = sample.image2.clone(), sample.image2.mean(dim=(1, 2), keepdim=True)
    for _ in range(draw.integer(1, 2)):
        left, top = draw.integer(0, width - 1), draw.integer(0, height - 1)
        across, down = draw.integer(50, 99), draw.integer(50, 99)
        image[:, top : top + down, left : left + across] = mean
    return sample._replace(image2=image)


def add_noise(sample: Sample, draw: Draw, most: float) -> Sample:
    """Add normal noise to both frames, its standard deviation uniform in [0, ``most``] gray levels of 255."""
    deviation = draw.uniform(0, most) / 255
    frames = [
        (frame + deviation * draw.normal(*frame.shape)).clamp(0, 1)
        for frame in (sample.image1, sample.image2)
    ]
    return sample._replace(image1=frames[0], image2=frames[1])
