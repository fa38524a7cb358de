"""Colored textures with the statistics of photographs: dead leaves, and noise with a power law."""

import numpy as np
import torch
from torch import Tensor

LEAVES, PALETTE = 400, 6  # leaves of a texture, the last in front; colors that they share
SMALLEST, LARGEST_SHARE = 2.0, 0.4  # radii in texels, and as a share of the texture's side


def dead_leaves(count: int, size: int, random: np.random.Generator) -> Tensor:
    """Return textures (count, 3, size, size) in [0, 1] of leaves that hide each other.

    Leaves are ellipses and rounded rectangles in one of ``PALETTE`` colors, shaded along a direction. Their
    radii have the density r^-3, which gives pictures of equal statistics at every scale and a power spectrum
    near 1/f^2 (Lee, Mumford and Huang, IJCV 2001). Few leaves of that law are large: of the half further back
    every third radius is uniform in the logarithm. Noise is added on top.
    """
    pictures = np.stack([_one(size, random) for _ in range(count)])
    # The finest leaves have a few texels: noise fills what they leave of the spectrum.
    grain = power_noise(count, size, random.uniform(0.2, 0.9, count), random)
    amount = random.uniform(0.0, 0.2, (count, 1, 1, 1))
    return torch.from_numpy(pictures + amount * grain).float().clamp(0, 1)


def power_noise(count: int, size: int, slope: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return colored noise (count, 3, size, size) of mean 0 and deviation 1 with amplitudes 1/f^slope."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    frequency[0, 0] = np.inf  # no mean
    spectrum = np.fft.rfft2(random.standard_normal((count, 3, size, size)))
    noise = np.fft.irfft2(spectrum * frequency ** -slope[:, None, None, None], s=(size, size))
    # Channels of photographs go together: two thirds of each are shared.
    noise = noise / 3 + 2 / 3 * noise.mean(axis=1, keepdims=True)
    return noise / noise.std(axis=(1, 2, 3), keepdims=True)


def colored_noise(count: int, size: int, random: np.random.Generator) -> Tensor:
    """Return noise (count, 3, size, size) in [0, 1] around a color, its slope drawn from [0.7, 2.2]."""
    noise = power_noise(count, size, random.uniform(0.7, 2.2, count), random)
    center = random.uniform(0.3, 0.7, (count, 3, 1, 1))
    contrast = random.uniform(0.08, 0.25, (count, 1, 1, 1))
    return torch.from_numpy(center + contrast * noise).float().clamp(0, 1)


def _one(size: int, random: np.random.Generator) -> np.ndarray:
    """Paint one texture (3, size, size), from the leaf at the back to the one in front."""
    # Colors of photographs differ more in lightness than in hue.
    palette = random.uniform(0.1, 0.9, (PALETTE, 1)) + random.normal(0, 0.15, (PALETTE, 3))
    largest = LARGEST_SHARE * size
    share = random.random(LEAVES)
    # P(R > r) of the density r^-3 on [a, b] is (r^-2 - b^-2) / (a^-2 - b^-2).
    radius = (share * SMALLEST**-2 + (1 - share) * largest**-2) ** -0.5
    back = slice(0, LEAVES // 2, 3)
    radius[back] = SMALLEST * (largest / SMALLEST) ** share[back]
    center = random.uniform(-0.1 * size, 1.1 * size, (LEAVES, 2))
    aspect = np.exp(random.uniform(-0.8, 0.8, LEAVES))
    turn, light = random.uniform(0, 2 * np.pi, (2, LEAVES))
    shade = random.uniform(0, 0.25, LEAVES)
    color = palette[random.integers(PALETTE, size=LEAVES)] + random.normal(0, 0.03, (LEAVES, 3))
    rounded = random.random(LEAVES) < 0.5
    picture = np.broadcast_to(palette[0][:, None, None], (3, size, size)).copy()
    for leaf in range(LEAVES):
        reach = 1.5 * radius[leaf] * max(aspect[leaf], 1 / aspect[leaf]) ** 0.5 + 1
        left, top = np.maximum(np.floor(center[leaf] - reach), 0).astype(int)
        right, bottom = np.minimum(np.ceil(center[leaf] + reach) + 1, size).astype(int)
        if left >= right or top >= bottom:
            continue
        x = np.arange(left, right) - center[leaf, 0]
        y = np.arange(top, bottom)[:, None] - center[leaf, 1]
        cosine, sine = np.cos(turn[leaf]), np.sin(turn[leaf])
        a = np.abs(cosine * x + sine * y) / aspect[leaf] ** 0.5
        b = np.abs(cosine * y - sine * x) * aspect[leaf] ** 0.5
        # The superellipse of power 2 is an ellipse, that of power 6 a rounded rectangle.
        distance = np.hypot(a, b) if not rounded[leaf] else (a**6 + b**6) ** (1 / 6)
        cover = np.clip(0.5 + radius[leaf] - distance, 0, 1)
        ramp = (np.cos(light[leaf]) * x + np.sin(light[leaf]) * y) / radius[leaf]
        leaf_color = color[leaf][:, None, None] + shade[leaf] * ramp
        place = picture[:, top:bottom, left:right]
        place += cover * (leaf_color - place)
    return picture
