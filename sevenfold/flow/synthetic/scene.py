"""Synthetic scenes: textured layers in motion, whose flow is known exactly at any time.

A scene is a background and up to three layers in front of it. It is a function of time, so that it gives a
pair of pictures as well as a video; frame 0 shows every layer undeformed, and the flow from it is a closed
form.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from sevenfold.flow.synthetic.motion import DEFAULT_MOTION, Motion, MotionOptions, Points, draw_motion
from sevenfold.flow.synthetic.photometry import Camera, draw_camera
from sevenfold.flow.synthetic.shapes import Pentagon, Star, draw_shape
from sevenfold.seeding import numpy_generator, torch_generator

FRONTS, PRESENCE = 3, 0.75  # layers in front of the background, and how likely each is there


class View(NamedTuple):
    """A scene at one time: each layer's material point at each pixel, and how much of the pixel it covers."""

    time: float
    points: Points
    cover: Tensor  # (L, H, W) in [0, 1]; the background covers all


@dataclass(frozen=True)
class Scene:
    """Layers from back to front: one texture, tone, outline and motion each, and the camera that sees them.

    ``textures`` (L, 1, S, S); ``placing`` (L, 2, 3) takes pixels to texels; x
    """

    height: int
    width: int
    textures: Tensor
    placing: Tensor
    base: Tensor
    contrast: Tensor
    shapes: tuple[Star | Pentagon, ...]
    motion: Motion
    camera: Camera
    stream: tuple[int, tuple[str | int, ...]]

    @cached_property
    def pixels(self) -> Points:
        """The pixels' places, the same for every layer, (L, H, W) each."""
        x = torch.arange(self.width) - (self.width - 1) / 2
        y = torch.arange(self.height) - (self.height - 1) / 2
        shape = (len(self.textures), self.height, self.width)
        return x.expand(shape), y[:, None].expand(shape)

    def view(self, time: float) -> View:
        """Find what is seen at every pixel at ``time``."""
        points = self.motion.inverse(self.pixels, time)
        return View(time, points, self.cover(points))

    def cover(self, points: Points) -> Tensor:
        """Return how much each layer covers a pixel around its material points (L, ...), antialiased."""
        cover = torch.ones_like(points[0])
        for layer, shape in enumerate(self.shapes, start=1):
            center = self.motion.center[layer]
            distance = shape.distance(points[0][layer] - center[0], points[1][layer] - center[1])
            cover[layer] = (0.5 - distance).clamp(0, 1)
        return cover

    def picture(self, view: View) -> Tensor:
        """Render the clean picture, (3, H, W) in [0, 1]."""
        x, y = view.points
        a = self.placing[..., None, None]
        size = self.textures.shape[-1]
        texels = torch.stack([a[:, i, 0] * x + (a[:, i, 1] * y + a[:, i, 2]) for i in (0, 1)], dim=-1)
        gray = grid_sample(self.textures, texels * (2 / size), padding_mode="reflection", align_corners=False)
        colors = self.base + self.contrast * gray
        picture = colors[0]
        for layer in range(1, len(colors)):
            picture = torch.lerp(picture, colors[layer], view.cover[layer])
        return picture.clamp(0, 1)

    def record(self, view: View) -> Tensor:
        """Render the picture as the camera records it; its noise depends on the scene and the time alone."""
        seed, names = self.stream
        generator = torch_generator(seed, *names, "noise", repr(float(view.time)))
        return self.camera.develop(self.picture(view), view.time, generator)

    def flow(self, view: View, step: float = 1.0) -> Tensor:
        """Return the motion (2, H, W) in px of what is seen at each pixel until ``view.time + step``."""
        later = self.motion.forward(view.points, view.time + step)
        moved = torch.stack([after - before for after, before in zip(later, self.pixels, strict=True)])
        flow = moved[:, 0]
        for layer in range(1, len(view.cover)):
            flow = torch.where(view.cover[layer] > 0.5, moved[:, layer], flow)
        return flow

    def pair(self, time: float = 0.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the frames at ``time`` and one later, the flow between them, and where it ends inside."""
        view, later = self.view(time), self.view(time + 1)
        flow = self.flow(view)
        return self.record(view), self.record(later), flow, self.inside(flow)

    def inside(self, flow: Tensor) -> Tensor:
        """Tell where the flow (2, H, W) ends inside the frame, bool (H, W)."""
        x, y = self.pixels[0][0] + flow[0], self.pixels[1][0] + flow[1]
        return (x.abs() <= (self.width - 1) / 2) & (y.abs() <= (self.height - 1) / 2)

    def occluded(self, view: View, flow: Tensor, step: float = 1.0) -> Tensor:
        """Tell which pixels of ``view`` a layer further in front hides at ``view.time + step``, bool (H, W).

        ``flow`` is the flow of ``view`` over the same step.
        """
        target = tuple(axis + moved for axis, moved in zip(self.pixels, flow, strict=True))
        then = self.cover(self.motion.inverse((target[0], target[1]), view.time + step)) > 0.5
        hidden = torch.zeros(self.height, self.width, dtype=torch.bool)
        for layer in range(1, len(then)):  # something in front of what is on top now
            behind = (view.cover[layer:] > 0.5).any(dim=0).logical_not()
            hidden |= then[layer] & behind
        return hidden


def draw_scene(
    bank: Tensor,
    height: int,
    width: int,
    seed: int,
    *names: str | int,
    motion: MotionOptions = DEFAULT_MOTION,
) -> Scene:
    """Draw the scene of the random stream ``(seed, *names)`` with textures from ``bank`` (N, 1, S, S)."""
    random = numpy_generator(seed, *names)
    side = min(height, width)
    fronts = int((random.random(FRONTS) < PRESENCE).sum())
    centers = random.uniform(-0.5, 0.5, (1 + fronts, 2)) * (width, height)
    centers[0] = 0
    tone = 0.5 + random.uniform(-0.3, 0.3, (1 + fronts, 1)) + random.uniform(-0.12, 0.12, (1 + fronts, 3))
    contrast = random.uniform(0.08, 0.35, (1 + fronts, 1)) * random.uniform(0.7, 1.3, (1 + fronts, 3))
    contrast *= random.choice([-1.0, 1.0], (1 + fronts, 1))
    return Scene(
        height=height,
        width=width,
        textures=bank[torch.from_numpy(random.integers(len(bank), size=1 + fronts))],
        placing=_draw_placing(1 + fronts, bank.shape[-1], random),
        base=torch.from_numpy(tone).float()[..., None, None],
        contrast=torch.from_numpy(contrast).float()[..., None, None],
        shapes=tuple(draw_shape(side * random.uniform(0.12, 0.4), random) for _ in range(fronts)),
        motion=draw_motion(motion, centers, side, random),
        camera=draw_camera(random),
        stream=(seed, names),
    )


def _draw_placing(layers: int, texels: int, random: np.random.Generator) -> Tensor:
    """Draw maps from pixels to texels (L, 2, 3): any turn and offset, 0.35 to 1 texel a pixel."""
    angle = random.uniform(0, 2 * np.pi, layers)
    scale = np.exp(random.uniform(np.log(0.35), 0, layers))
    placing = np.empty((layers, 2, 3))
    placing[:, 0, 0] = placing[:, 1, 1] = scale * np.cos(angle)
    placing[:, 1, 0] = scale * np.sin(angle)
    placing[:, 0, 1] = -placing[:, 1, 0]
    placing[:, :, 2] = random.uniform(-texels / 2, texels / 2, (layers, 2))
    return torch.from_numpy(placing).float()
