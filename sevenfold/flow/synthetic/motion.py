"""How the layers of a synthetic scene move: a closed form in time, and its inverse."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from sevenfold.ranges import NonNegative, PositiveShare, Scale, Share

Points = tuple[Tensor, Tensor]  # x and y, each (layers, ...), in pixels from the center of the frame

MAX_STRAIN = 0.15  # bound on the waves' gradient, so that the motion can be inverted by iteration
WAVES = 2


@dataclass(frozen=True)
class MotionOptions:
    """Size of the motion between two frames; speeds are log-normal.

    Args:
        background, front: median speed of that layer in px per frame.
        spread: standard deviation of the speeds' logarithm.
        cap: largest speed, as a share of the frame's side.
        follow: probability that a front layer adds the background's motion.
        turn: standard deviation of a layer's rotation per frame in radians.
        zoom: standard deviation of a layer's relative growth per frame.
        affine: probability that a layer turns and grows.
        waves: probability that a layer ripples.
    """

    background: Scale = 1.5
    front: Scale = 3.0
    spread: NonNegative = 1.1
    cap: PositiveShare = 0.3
    follow: Share = 0.7
    turn: NonNegative = 0.05
    zoom: NonNegative = 0.05
    affine: Share = 0.6
    waves: Share = 0.5


DEFAULT_MOTION = MotionOptions()


@dataclass(frozen=True)
class Motion:
    """The motion of L layers; a point's place at time 0 is its name ("material point").

    phi_t(X) = C + exp(z t) R(r t) (X - C) + t T + sum_k a_k [sin(q_k.X + p_k + w_k t) - sin(q_k.X + p_k)]

    ``center`` C, ``translation`` T (L, 2) in px; ``rotation`` r, ``growth`` z (L,); ``amplitude`` a
    (L, waves, 2) in px; ``wave_vector`` q (L, waves, 2); ``phase`` p and ``frequency`` w (L, waves).
    """

    center: Tensor
    translation: Tensor
    rotation: Tensor
    growth: Tensor
    amplitude: Tensor
    wave_vector: Tensor
    phase: Tensor
    frequency: Tensor

    def forward(self, points: Points, time: float) -> Points:
        """Return where material points (L, ...) are at ``time``."""
        if time == 0:
            return points
        cosine, sine = self._turn(time, 1.0)
        x, y = (axis - self._per_layer(self.center[:, i], axis) for i, axis in enumerate(points))
        shift = self.center + time * self.translation
        wave_x, wave_y = self._waves(points, time)
        return (
            cosine * x - sine * y + self._per_layer(shift[:, 0], x) + wave_x,
            sine * x + cosine * y + self._per_layer(shift[:, 1], y) + wave_y,
        )

    def inverse(self, places: Points, time: float) -> Points:
        """Return the material points that are at ``places`` (L, ...) at ``time``, by fixed-point iteration.

        The affine part is inverted exactly and the ripples contract by at least ``MAX_STRAIN`` a step, up to
        the layer's growth: the error is about 1e-3 px at time 1.
        """
        if time == 0:
            return places
        cosine, sine = self._turn(time, -1.0)
        shift = self.center + time * self.translation
        # X = A^-1 (place - shift - wave(X)) + C, iterated from the wave that is zero.
        goal = [axis - self._per_layer(shift[:, i], axis) for i, axis in enumerate(places)]
        center = [self._per_layer(self.center[:, i], axis) for i, axis in enumerate(places)]
        points = places
        wave: Points = (torch.zeros_like(places[0]), torch.zeros_like(places[1]))
        for _ in range(1 + bool(self.ripples) * (4 if abs(time) <= 1 else 8)):
            x, y = goal[0] - wave[0], goal[1] - wave[1]
            points = (cosine * x - sine * y + center[0], sine * x + cosine * y + center[1])
            wave = self._waves(points, time)
        return points

    def _turn(self, time: float, sign: float) -> Points:
        """Return the (L, 1, ...) entries of exp(sign z t) R(sign r t)."""
        scale, angle = torch.exp(sign * self.growth * time), sign * self.rotation * time
        return (scale * angle.cos())[:, None, None], (scale * angle.sin())[:, None, None]

    def _waves(self, points: Points, time: float) -> Points:
        """Sum the ripples' displacement: sin(u + w t) - sin(u) = 2 sin(w t / 2) cos(u + w t / 2)."""
        moved = (torch.zeros_like(points[0]), torch.zeros_like(points[1]))
        for layer, (a_x, a_y), (q_x, q_y), phase, frequency in self.ripples:
            half = frequency * time / 2
            height = torch.add(points[0][layer] * q_x, points[1][layer], alpha=q_y).add_(phase + half).cos_()
            moved[0][layer].add_(height, alpha=2 * math.sin(half) * a_x)
            moved[1][layer].add_(height, alpha=2 * math.sin(half) * a_y)
        return moved

    @cached_property
    def ripples(self) -> list[tuple[int, list[float], list[float], float, float]]:
        """Layer, amplitude, wave vector, phase and frequency of each wave, as numbers."""
        parts = (self.amplitude, self.wave_vector, self.phase, self.frequency)
        return [
            (layer, a, q, p, w)
            for layer, waves in enumerate(zip(*(part.tolist() for part in parts), strict=True))
            for a, q, p, w in zip(*waves, strict=True)
            if any(a)
        ]

    @staticmethod
    def _per_layer(values: Tensor, like: Tensor) -> Tensor:
        return values.reshape(-1, *[1] * (like.ndim - 1))


def draw_motion(
    options: MotionOptions, centers: np.ndarray, size: float, random: np.random.Generator
) -> Motion:
    """Draw the motion of layers with ``centers`` (L, 2), background first, in a frame of side ``size``."""
    layers = len(centers)
    medians = np.array([options.background] + [options.front] * (layers - 1))
    speed = medians * np.exp(options.spread * random.standard_normal(layers))
    direction = random.uniform(0, 2 * np.pi, layers)
    translation = speed[:, None] * np.stack([np.cos(direction), np.sin(direction)], axis=1)
    # Much of real motion is the camera's, which all layers share.
    translation[1:] += translation[0] * (random.random((layers - 1, 1)) < options.follow)
    length = np.linalg.norm(translation, axis=1, keepdims=True)
    # Log-normal speeds have a long tail: without a cap layers would leave the frame at once.
    translation *= np.minimum(1, options.cap * size / np.maximum(length, 1e-9))
    affine = random.random(layers) < options.affine
    amplitude, wave_vector, phase, frequency = draw_waves(options.waves, layers, size, random)
    drawn = (
        centers,
        translation,
        affine * options.turn * random.standard_normal(layers),
        affine * options.zoom * random.standard_normal(layers),
        amplitude,
        wave_vector,
        phase,
        frequency,
    )
    return Motion(*(torch.from_numpy(values).float() for values in drawn))


def draw_waves(
    probability: float, layers: int, size: float, random: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Draw amplitude, wave vector, phase and frequency; sum of 2 |a| |q| is at most ``MAX_STRAIN``.

    A layer ripples with ``probability``.
    """
    shape = (layers, WAVES)
    number = 2 * math.pi / (size * random.uniform(0.3, 1.5, shape))
    heading, tilt = random.uniform(0, 2 * np.pi, (2, *shape))
    strain = random.dirichlet(np.ones(WAVES), layers) * random.uniform(0.2, 1.0, (layers, 1)) * MAX_STRAIN
    strain *= random.random((layers, 1)) < probability
    amplitude = (strain / (2 * number))[..., None] * np.stack([np.cos(tilt), np.sin(tilt)], axis=-1)
    wave_vector = number[..., None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    frequency = random.uniform(0.5, 2.5, shape) * random.choice([-1.0, 1.0], shape)
    return amplitude, wave_vector, random.uniform(0, 2 * np.pi, shape), frequency
