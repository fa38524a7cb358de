"""What a camera does to the pictures of a synthetic scene; the flow is not touched."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad


@dataclass(frozen=True)
class Camera:
    """Tone curve, a mild change of every later frame, blur and noise of one scene.

    ``gamma``, ``contrast``, ``brightness`` apply to all frames; ``later_contrast`` and ``later_brightness``
    to all but the first; ``blur`` is the standard deviation in pixels, ``noise`` that in gray levels of 1.
    """

    gamma: float
    contrast: float
    brightness: float
    later_contrast: float
    later_brightness: float
    blur: float
    noise: float

    def develop(self, picture: Tensor, time: float, generator: torch.Generator) -> Tensor:
        """Turn a clean picture (3, H, W) in [0, 1] into the recorded one, also in [0, 1]."""
        picture = _blurred(picture, self.blur) if self.blur else picture
        # The slope of x^gamma is infinite at 0 where gamma is below 1.
        picture = picture.clamp(1e-4, 1).pow(self.gamma)
        contrast, brightness = self.contrast, self.brightness
        if time != 0:
            contrast, brightness = contrast * self.later_contrast, brightness + self.later_brightness
        picture = (picture - 0.5) * contrast + (0.5 + brightness)
        if self.noise:
            picture = picture + self.noise * torch.randn(picture.shape, generator=generator)
        return picture.clamp(0, 1)


IDENTITY = Camera(1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def draw_camera(random: np.random.Generator) -> Camera:
    """Draw a camera: frames differ in tone with probability 0.3 and are blurred with 0.5."""
    differs, blurs = random.random(2) < (0.3, 0.5)
    return Camera(
        gamma=math.exp(random.uniform(-0.3, 0.3)),
        contrast=random.uniform(0.75, 1.25),
        brightness=random.uniform(-0.1, 0.1),
        later_contrast=random.uniform(0.9, 1.1) if differs else 1.0,
        later_brightness=random.uniform(-0.05, 0.05) if differs else 0.0,
        blur=random.uniform(0.3, 1.0) if blurs else 0.0,
        noise=random.uniform(0.0, 0.02),
    )


def _blurred(picture: Tensor, sigma: float) -> Tensor:
    """Blur by a Gaussian, rows then columns."""
    radius = math.ceil(2.5 * sigma)
    weights = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = (weights / weights.sum()).expand(picture.shape[0], 1, 1, -1)
    wide = pad(picture[None], [radius] * 4, mode="replicate")
    rows = conv2d(wide, kernel, groups=picture.shape[0])
    return conv2d(rows, kernel.transpose(2, 3), groups=picture.shape[0])[0]
