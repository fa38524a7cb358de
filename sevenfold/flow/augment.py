"""Augmentation of training pairs as RAFT does it: color, erased boxes, scale, flips, crop, noise.

Everything is a function of a sample and a ``torch.Generator``; nothing else is random.
"""

import math
from dataclasses import dataclass

import torch

from sevenfold.config import ConfigError
from sevenfold.flow.augment_color import add_noise, erase_boxes, jitter
from sevenfold.flow.augment_space import crop, flip, resize, resize_sparse
from sevenfold.flow.sample import Draw, Sample


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How the pairs of one data set are augmented.

    ``crop`` is (height, width) in px; pictures are scaled by 2^u, u uniform in ``log_scale``. ``sparse``
    chooses the rules for ground truth with gaps (KITTI, HD1K): flow is moved and never interpolated, both
    frames get the same colors, nothing is stretched, and crops favor the borders. ``flip_x`` and ``flip_y``
    are probabilities. ``noise``: largest standard deviation of noise, in gray levels of 255. ``stretch``:
    largest logarithm (base 2) of the scale of one axis alone. ``eraser``: probability that boxes of the
    second frame are erased. ``jitter``: factor of the strength of changes of color. Flow as fast as
    ``max_flow`` px or faster counts as unknown.
    """

    crop: tuple[int, int]
    log_scale: tuple[float, float]
    sparse: bool = False
    flip_x: float = 0.5
    flip_y: float = 0.1
    noise: float = 0.0
    stretch: float = 0.2
    eraser: float = 0.5
    jitter: float = 1.0
    max_flow: float = math.inf

    def __post_init__(self) -> None:
        if min(self.crop) < 1:
            raise ConfigError("crop", f"must be (height, width) in px, got {self.crop}")
        if self.log_scale[0] > self.log_scale[1]:
            raise ConfigError("log_scale", f"must be (lowest, highest), got {self.log_scale}")

    def __call__(self, sample: Sample, stream: torch.Generator) -> Sample:
        """Augment one sample with draws from ``stream``; the result has the size of the crop."""
        draw = Draw(stream)
        if self.sparse:
            strength, hue, asymmetric = 0.3, 0.3 / 3.14, 0.0
        else:
            strength, hue, asymmetric = 0.4, 0.5 / 3.14, 0.2
        sample = jitter(
            sample, draw, strength=self.jitter * strength, hue=self.jitter * hue, asymmetric=asymmetric
        )
        sample = erase_boxes(sample, draw) if draw.chance(self.eraser) else sample
        sample = self._scale(sample, draw)
        sample = flip(sample, x=draw.chance(self.flip_x), y=draw.chance(self.flip_y))
        sample = crop(sample, self.crop, draw, margin=(20, 50) if self.sparse else (0, 0))
        sample = add_noise(sample, draw, self.noise) if self.noise else sample
        return sample._replace(valid=sample.valid & (sample.flow.norm(dim=0) < self.max_flow))

    def _scale(self, sample: Sample, draw: Draw) -> Sample:
        """Scale with probability 0.8, and in any case where the crop would not fit."""
        height, width = sample.size
        room = 1 if self.sparse else 8
        least = max((self.crop[0] + room) / height, (self.crop[1] + room) / width)
        scale = 2 ** draw.uniform(*self.log_scale)
        across = down = scale
        if not self.sparse and draw.chance(0.8):
            across, down = (scale * 2 ** draw.uniform(-self.stretch, self.stretch) for _ in range(2))
        fits = self.crop[0] <= height and self.crop[1] <= width
        if not draw.chance(0.8) and fits:
            return sample
        size = round(height * max(down, least)), round(width * max(across, least))
        return (resize_sparse if self.sparse else resize)(sample, size)
