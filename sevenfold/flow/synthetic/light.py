"""What a camera does to a batch of rendered scenes: tone, blur, uneven light and noise."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

RADIUS = 3  # of the blur's window: 3 standard deviations of the widest blur, 1 px
FIELD = 4  # nodes of the uneven light along each side


def draw_light(random: np.random.Generator) -> dict[str, Tensor]:
    """Draw the camera of one scene, for its first frame (row 0) and all others (row 1).

    ``tone`` (2, 3): gamma, contrast, brightness; ``gains`` (2, 3) of the channels; ``blur`` (2,), standard
    deviations in px; ``field`` (2, FIELD, FIELD), added light; ``grain``, the noise's standard deviation.
    Frames differ in tone with probability 0.3 and in channel gains and uneven light with 0.3 each; both are
    blurred with 0.5, one alone with 0.15; the noise, of up to 0.02, is twice as strong with 0.2.
    """
    differs, blurs, alone, uneven, colored, noisy = random.random(6) < (0.3, 0.5, 0.15, 0.3, 0.3, 0.2)
    tone = np.tile(
        [math.exp(random.uniform(-0.3, 0.3)), random.uniform(0.75, 1.25), random.uniform(-0.1, 0.1)], (2, 1)
    )
    tone[1] += differs * np.array([0, tone[1, 1] * random.uniform(-0.1, 0.1), random.uniform(-0.05, 0.05)])
    blur = np.full(2, blurs * random.uniform(0.3, 1.0))
    blur[random.integers(2)] += alone * (1 - blurs) * random.uniform(0.3, 1.0)
    gains, field = np.ones((2, 3)), np.zeros((2, FIELD, FIELD))
    gains[1] += colored * random.uniform(-0.12, 0.12, 3)
    # Light from another side in later frames, smooth over the picture.
    field[1] = uneven * random.uniform(-0.08, 0.08, (FIELD, FIELD))
    drawn = {
        "tone": tone,
        "gains": gains,
        "blur": blur,
        "field": field,
        "grain": np.array((1 + noisy) * random.uniform(0, 0.02)),
    }
    return {name: torch.from_numpy(values).float() for name, values in drawn.items()}


def develop(picture: Tensor, light: dict[str, Tensor], frame: int, noise: Tensor) -> Tensor:
    """Turn clean pictures (B, 3, H, W) in [0, 1] into what a camera records, also in [0, 1].

    ``light`` has a first axis B; ``frame`` is 0 for the first frame of a scene and 1 for the others;
    ``noise`` is standard normal, of the pictures' shape.
    """
    picture = _blurred(picture, light["blur"][:, frame])
    gamma, contrast, brightness = (part[:, None, None, None] for part in light["tone"][:, frame].unbind(1))
    # The slope of x^gamma is infinite at 0 where gamma is below 1.
    picture = picture.clamp(1e-4, 1).pow(gamma)
    picture = (picture - 0.5) * contrast + (0.5 + brightness)
    field = interpolate(
        light["field"][:, frame, None], picture.shape[-2:], mode="bicubic", align_corners=True
    )
    picture = picture * light["gains"][:, frame, :, None, None] + field
    return (picture + light["grain"][:, None, None, None] * noise).clamp(0, 1)


def _blurred(picture: Tensor, sigma: Tensor) -> Tensor:
    """Blur each picture by a Gaussian of its standard deviation in px; 0 leaves it as it is."""
    batch, channels = picture.shape[:2]
    axis = torch.arange(-RADIUS, RADIUS + 1, device=picture.device)
    weights = torch.exp(-0.5 * (axis / sigma[:, None].clamp(min=1e-3)) ** 2)
    kernel = (weights / weights.sum(dim=1, keepdim=True)).repeat_interleave(channels, 0)[:, None, None]
    wide = pad(picture, [RADIUS] * 4, mode="replicate").flatten(0, 1)[None]
    rows = conv2d(wide, kernel, groups=batch * channels)
    return conv2d(rows, kernel.transpose(2, 3), groups=batch * channels)[0].unflatten(0, (batch, channels))
