"""Rendered scenes: numbers of many scenes are drawn one by one, their pictures are computed as one batch.

A scene has a background and up to six layers in front of it, each with a texture, an outline and a motion of
its own; it is a function of time, and the flow between two times is a closed form.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from sevenfold.flow.synthetic.bank import Bank
from sevenfold.flow.synthetic.drift import Drift, LayerMotion, draw_drift
from sevenfold.flow.synthetic.light import develop, draw_light
from sevenfold.flow.synthetic.motion import Points
from sevenfold.flow.synthetic.outlines import REACH
from sevenfold.seeding import numpy_generator, torch_generator

LAYERS, PRESENCE = 7, 0.75  # with the background; how likely each layer in front is
MOTION = ("center", "translation", "strain", "amplitude", "wave_vector", "phase", "frequency")

Numbers = dict[str, Tensor]
"""The numbers of one scene, or of a batch of scenes with a first axis more."""


class Rendered(NamedTuple):
    """Frames (B, 3, H, W) in [0, 1], flow (B, 2, H, W) in px, where it ends inside, and what gets hidden.

    ``valid`` and ``occluded`` are (B, H, W): the second holds what something in front hides in the second
    frame, and all that leaves the frame; None where it was not wanted.
    """

    image1: Tensor
    image2: Tensor
    flow: Tensor
    valid: Tensor
    occluded: Tensor | None


class Seen(NamedTuple):
    """Scenes at one time: material points of all layers at every place, and which layer is on top."""

    points: Points
    cover: Tensor  # (B, L, H, W) in [0, 1]
    top: Tensor  # (B, 1, H, W), the number of the layer


def draw_numbers(
    bank: Bank, height: int, width: int, seed: int, *names: str | int, drift: Drift, frames: int = 2
) -> Numbers:
    """Draw the scene of the random stream ``(seed, *names)``, with the noise of its first ``frames``."""
    random = numpy_generator(seed, *names)
    side = min(height, width)
    present = np.concatenate([[True], random.random(LAYERS - 1) < PRESENCE])
    layers = int(present.sum())
    centers = random.uniform(-0.5, 0.5, (layers, 2)) * (width, height)
    centers[0] = 0
    turn, pose = random.uniform(0, 2 * np.pi, (2, layers))
    scale = np.exp(random.uniform(np.log(0.35), 0, layers))
    radius = side * np.exp(random.uniform(np.log(0.06), np.log(0.5), layers))
    texels = bank.textures.shape[-1]
    numbers = {
        "texture": torch.from_numpy(random.integers(len(bank.textures), size=layers)),
        "outline": torch.from_numpy(random.integers(len(bank.outlines), size=layers)),
        "placing": _similarity(scale, turn, random.uniform(-texels / 2, texels / 2, (layers, 2))),
        "pose": _similarity(1 / radius, pose, np.zeros((layers, 2))),
        "radius": torch.from_numpy(radius).float(),
        "shift": torch.from_numpy(random.normal(0, 0.07, (layers, 3))).float(),
        "gain": torch.from_numpy(np.exp(random.normal(0, 0.15, (layers, 3)))).float(),
        "center": torch.from_numpy(centers).float(),
        **draw_drift(drift, centers, side, random),
    }
    numbers = {name: _filled(values) for name, values in numbers.items()}
    numbers["layers"] = torch.tensor(layers)
    stream = torch_generator(seed, *names, "noise")
    numbers["noise"] = torch.randn(frames, 3, height, width, generator=stream)
    return numbers | draw_light(random)


def render(numbers: Mapping[str, Tensor], bank: Bank, *, time: int = 0, occlusion: bool = True) -> Rendered:
    """Render the pairs at ``time`` and one later of a batch of scenes, on the device of their numbers.

    ``numbers`` is a batch of :func:`draw_numbers` of the same size, with noise for these frames;
    ``occlusion`` costs a third of the time.
    """
    scenes = Scenes(numbers, bank.to(numbers["center"].device))
    first, second = scenes.seen(time), scenes.seen(time + 1)
    flow = scenes.flow(first, time)
    inside = scenes.inside(flow)
    occluded = scenes.hidden(first, flow, time) | ~inside if occlusion else None
    return Rendered(scenes.record(first, time), scenes.record(second, time + 1), flow, inside, occluded)


class Scenes:
    """A batch of scenes as a function of time.

    Args:
        numbers: those of the scenes, with a first axis B.
        bank: what they are made of, on the same device.
    """

    def __init__(self, numbers: Mapping[str, Tensor], bank: Bank) -> None:
        most = int(numbers["layers"].max())
        layered = numbers["center"].shape[1]
        self.numbers = {
            name: values[:, :most] if values.ndim > 1 and values.shape[1] == layered else values
            for name, values in numbers.items()
        }
        self.bank = bank
        self.motion = LayerMotion(**{name: self.numbers[name] for name in MOTION})
        noise = numbers["noise"]
        self.height, self.width = noise.shape[-2:]
        x = torch.arange(self.width, device=noise.device) - (self.width - 1) / 2
        y = torch.arange(self.height, device=noise.device) - (self.height - 1) / 2
        shape = (len(noise), most, self.height, self.width)
        self.pixels: Points = (x.expand(shape), y[:, None].expand(shape))
        number = torch.arange(most, device=noise.device)
        self.present = (number < numbers["layers"][:, None])[..., None, None]

    def seen(self, time: int, places: Points | None = None) -> Seen:
        """Return what is at ``places`` (default: the pixels), each (B, L, H, W), at ``time``."""
        points = self.motion.inverse(self.pixels if places is None else places, time)
        cover = self._cover(points)
        order = torch.arange(1, cover.shape[1] + 1, device=cover.device)[:, None, None]
        return Seen(points, cover, ((cover > 0.5) * order).argmax(dim=1, keepdim=True))

    def _cover(self, points: Points) -> Tensor:
        """Return how much each layer covers a pixel around its material points, antialiased."""
        numbers = self.numbers
        x, y = (part - numbers["center"][..., i, None, None] for i, part in enumerate(points))
        place = _placed(numbers["pose"], (x, y)) / REACH
        maps = self.bank.outlines[numbers["outline"].flatten()][:, None]
        distance = grid_sample(maps, place.flatten(0, 1), padding_mode="border", align_corners=False)
        distance = distance.view(x.shape) * numbers["radius"][..., None, None]
        cover = (0.5 - distance).clamp(0, 1) * self.present
        return torch.cat([torch.ones_like(cover[:, :1]), cover[:, 1:]], dim=1)

    def record(self, seen: Seen, time: int) -> Tensor:
        """Return the pictures (B, 3, H, W) of what is seen at all pixels, as the camera records them."""
        numbers = self.numbers
        place = _placed(numbers["placing"], seen.points) * (2 / self.bank.textures.shape[-1])
        textures = self.bank.textures[numbers["texture"].flatten()]
        color = grid_sample(textures, place.flatten(0, 1), padding_mode="reflection", align_corners=False)
        color = color.view(*place.shape[:2], 3, *place.shape[2:4])
        color = (color - 0.5) * numbers["gain"][..., None, None] + 0.5 + numbers["shift"][..., None, None]
        # From the back to the front: p <- (1 - cover) p + cover color.
        picture = color[:, 0]
        for layer in range(1, color.shape[1]):
            picture = torch.lerp(picture, color[:, layer], seen.cover[:, layer, None])
        return develop(picture.clamp(0, 1), self.numbers, min(time, 1), numbers["noise"][:, time])

    def flow(self, seen: Seen, time: float, step: float = 1.0) -> Tensor:
        """Return the motion (B, 2, H, W) in px of what is seen at every pixel until ``time + step``."""
        later = self.motion.forward(seen.points, time + step)
        moved = [after - before for after, before in zip(later, self.pixels, strict=True)]
        return torch.cat([part.gather(1, seen.top) for part in moved], dim=1)

    def inside(self, flow: Tensor) -> Tensor:
        """Tell where the flow (B, 2, H, W) ends inside the frame, bool (B, H, W)."""
        x, y = self.pixels[0][:, 0] + flow[:, 0], self.pixels[1][:, 0] + flow[:, 1]
        return (x.abs() <= (self.width - 1) / 2) & (y.abs() <= (self.height - 1) / 2)

    def hidden(self, seen: Seen, flow: Tensor, time: int) -> Tensor:
        """Tell which pixels something else hides where their flow ends one frame later, bool (B, H, W)."""
        x, y = (part + flow[:, i, None] for i, part in enumerate(self.pixels))
        return (self.seen(time + 1, (x, y)).top != seen.top)[:, 0]


def _placed(maps: Tensor, points: Points) -> Tensor:
    """Apply affine maps (B, L, 2, 3) to points: (B, L, H, W, 2)."""
    rows = [[maps[..., i, j, None, None] for j in range(3)] for i in (0, 1)]
    return torch.stack([a * points[0] + (b * points[1] + c) for a, b, c in rows], dim=-1)


def _similarity(scale: np.ndarray, angle: np.ndarray, offset: np.ndarray) -> Tensor:
    """Return maps (L, 2, 3) that turn, scale and shift."""
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([np.stack([a, -b], 1), np.stack([b, a], 1)], axis=1)
    return torch.from_numpy(np.concatenate([linear, offset[..., None]], axis=2)).float()


def _filled(values: Tensor) -> Tensor:
    """Append zeros for the layers that are absent."""
    return torch.cat([values, values.new_zeros(LAYERS - len(values), *values.shape[1:])])
