"""How the layers of rendered scenes move: one speed a scene, and a closed form in time with shear."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sevenfold.flow.synthetic.motion import WAVES, Points, draw_waves
from sevenfold.ranges import NonNegative, PositiveShare, Scale, Share


@dataclass(frozen=True)
class Drift:
    """Size of the motion between two frames of a rendered scene; all speeds are log-normal.

    Args:
        speed: median speed of a scene in px per frame.
        spread: standard deviation of the scenes' speeds in the logarithm.
        background: that of the background's speed around its scene's.
        front: that of the front layers' speeds around their scene's.
        factor: median speed of a front layer, in speeds of its scene.
        follow: probability that a front layer adds the background's motion.
        turn: standard deviation of a layer's rotation per frame in radians.
        zoom: standard deviation of a layer's relative growth per frame.
        shear: standard deviation of a layer's shear per frame.
        affine: probability that a layer turns, grows and shears.
        waves: probability that a layer ripples.
        calm: speed in px below which turn, zoom, shear and ripples shrink with the scene's speed, so that
            slow scenes are not torn by rotation (to 0.15 at least); 0: never.
        cap: largest speed, as a share of the frame's shorter side.
    """

    speed: Scale = 3.0
    spread: NonNegative = 1.0
    background: NonNegative = 0.7
    front: NonNegative = 0.9
    factor: Scale = 1.3
    follow: Share = 0.7
    turn: NonNegative = 0.05
    zoom: NonNegative = 0.08
    shear: NonNegative = 0.04
    affine: Share = 0.6
    waves: Share = 0.5
    calm: NonNegative = 6.0
    cap: PositiveShare = 0.35


FIRST_EDITION = Drift(
    speed=1.5, spread=0.0, background=1.1, front=1.1, factor=2.0, zoom=0.05, shear=0.0, calm=0.0, cap=0.3
)
"""The law of ``MotionOptions``: independent speeds of layers with medians of 1.5 and 3 px."""


def draw_drift(
    options: Drift, centers: np.ndarray, side: float, random: np.random.Generator
) -> dict[str, Tensor]:
    """Draw the motion of layers with ``centers`` (L, 2), background first, as tensors with a first axis L.

    ``translation`` (L, 2) in px, ``strain`` (L, 2, 2), the generator of the linear part, and the waves'
    ``amplitude`` (L, waves, 2) in px, ``wave_vector`` (L, waves, 2), ``phase`` and ``frequency`` (L, waves).
    """
    layers = len(centers)
    speed = options.speed * math.exp(options.spread * random.standard_normal())
    spread = np.array([options.background] + [options.front] * (layers - 1))
    medians = speed * np.array([1.0] + [options.factor] * (layers - 1))
    length = medians * np.exp(spread * random.standard_normal(layers))
    heading = random.uniform(0, 2 * np.pi, layers)
    translation = length[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    translation[1:] += translation[0] * (random.random((layers - 1, 1)) < options.follow)
    length = np.linalg.norm(translation, axis=1, keepdims=True)
    translation *= np.minimum(1, options.cap * side / np.maximum(length, 1e-9))
    strength = min(1.0, max(0.15, speed / options.calm)) if options.calm else 1.0
    scale = strength * (random.random(layers) < options.affine)
    turn, zoom, shear = scale * random.standard_normal((3, layers))
    turn, zoom, shear = options.turn * turn, options.zoom * zoom, options.shear * shear
    strain = np.stack([np.stack([zoom, shear - turn], 1), np.stack([shear + turn, zoom], 1)], axis=1)
    waves = draw_waves(options.waves, layers, side, random)
    drawn = {
        "translation": translation,
        "strain": strain,
        "amplitude": strength * waves[0],
        "wave_vector": waves[1],
        "phase": waves[2],
        "frequency": waves[3],
    }
    return {name: torch.from_numpy(values).float() for name, values in drawn.items()}


@dataclass(frozen=True)
class LayerMotion:
    """The motion of the layers of a batch of scenes; every tensor has first axes (B, L).

    phi_t(X) = C + exp(t S) (X - C) + t T + sum_k a_k [sin(q_k.X + p_k + w_k t) - sin(q_k.X + p_k)]

    with ``center`` C, ``strain`` S and the names of :func:`draw_drift`: the law of the first edition with a
    full 2x2 generator. Points are x and y, each (B, L, ...), in px from the center of the frame.
    """

    center: Tensor
    translation: Tensor
    strain: Tensor
    amplitude: Tensor
    wave_vector: Tensor
    phase: Tensor
    frequency: Tensor

    def forward(self, points: Points, time: float) -> Points:
        """Return where material points are at ``time``."""
        wave = self._waves(points, time)
        moved = self._linear(torch.linalg.matrix_exp(time * self.strain), self._relative(points, 0.0))
        shift = self.center + time * self.translation
        x, y = (part + self._wide(shift[..., i], part) + wave[i] for i, part in enumerate(moved))
        return x, y

    def inverse(self, places: Points, time: float) -> Points:
        """Return the material points that are at ``places`` at ``time``, by fixed-point iteration.

        The linear part is inverted exactly; ripples contract by ``MAX_STRAIN`` a step at time 1.
        """
        if time == 0:
            return places
        back = torch.linalg.matrix_exp(-time * self.strain)
        goal = self._relative(places, time)
        points, wave = places, (torch.zeros_like(places[0]), torch.zeros_like(places[1]))
        for _ in range(5 if abs(time) <= 1 else 9):
            x, y = self._linear(back, (goal[0] - wave[0], goal[1] - wave[1]))
            points = (x + self._wide(self.center[..., 0], x), y + self._wide(self.center[..., 1], y))
            wave = self._waves(points, time)
        return points

    def _relative(self, points: Points, time: float) -> Points:
        """Subtract where the layers' centers are at ``time``."""
        shift = self.center + time * self.translation
        x, y = (part - self._wide(shift[..., i], part) for i, part in enumerate(points))
        return x, y

    def _linear(self, matrix: Tensor, points: Points) -> Points:
        rows = [[self._wide(matrix[..., i, j], points[0]) for j in (0, 1)] for i in (0, 1)]
        x, y = points
        return rows[0][0] * x + rows[0][1] * y, rows[1][0] * x + rows[1][1] * y

    def _waves(self, points: Points, time: float) -> Points:
        """Sum the ripples' displacement: sin(u + w t) - sin(u) = 2 sin(w t / 2) cos(u + w t / 2)."""
        x, y = points
        moved_x, moved_y = torch.zeros_like(x), torch.zeros_like(y)
        for k in range(WAVES):
            half = self.frequency[..., k] * time / 2
            angle = self._wide(self.wave_vector[..., k, 0], x) * x
            angle = angle + self._wide(self.wave_vector[..., k, 1], x) * y
            height = (angle + self._wide(self.phase[..., k] + half, x)).cos_()
            size = 2 * half.sin()[..., None] * self.amplitude[..., k, :]
            moved_x = torch.addcmul(moved_x, self._wide(size[..., 0], x), height)
            moved_y = torch.addcmul(moved_y, self._wide(size[..., 1], x), height)
        return moved_x, moved_y

    @staticmethod
    def _wide(values: Tensor, like: Tensor) -> Tensor:
        return values.reshape(*values.shape, *[1] * (like.ndim - values.ndim))
