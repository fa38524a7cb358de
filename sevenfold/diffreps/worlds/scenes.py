"""Procedural scenes of one to three coloured solids in canonical places, so that views differ."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.worlds.cameras import Camera
from sevenfold.diffreps.worlds.march import absorption
from sevenfold.ranges import Finite, NonNegative, Scale
from sevenfold.seeding import torch_generator

PLACES = ((1.0, 0.0, 0.0), (-0.5, 0.87, 0.0), (-0.5, -0.87, 0.0))
KINDS = 3


@dataclass(frozen=True)
class Scenes:
    """The law of scenes.

    Object A is always on the +x side, B and C, if present, behind it on either side. Kinds (sphere, box,
    cylinder), sizes and colours are random.

    Args:
        distance: of objects from the origin.
        jitter: largest random offset of each coordinate of an object.
        smallest, largest: bounds of an object's size.
        counts: probabilities of one, two and three objects.
        edge: width of the transition at a surface.
        shift: largest random offset of the whole scene in x and y.
    """

    distance: NonNegative = 0.5
    jitter: NonNegative = 0.2
    smallest: Scale = 0.2
    largest: Scale = 0.5
    counts: tuple[NonNegative, NonNegative, NonNegative] = (0.4, 0.4, 0.2)
    edge: Scale = 0.05
    shift: Finite = 0.0

    def __post_init__(self) -> None:
        if self.smallest > self.largest:
            message = f"must be at most largest ({self.largest:g}), got {self.smallest:g}"
            raise ConfigError("smallest", message)

    def draw(self, count: int, seed: int, purpose: str = "train") -> "SceneSet":
        """Draw ``count`` scenes."""
        if count < 1:
            raise ConfigError("scenes", f"needs at least 1, got {count}")
        generator = torch_generator(seed, "scenes", purpose)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(count, *shape, generator=generator)

        share = torch.tensor(self.counts)
        objects = torch.multinomial(share, count, replacement=True, generator=generator) + 1
        places = self.distance * torch.tensor(PLACES) + self.jitter * (2 * uniform(3, 3) - 1)
        offset = self.shift * (2 * uniform(1, 3) - 1) * torch.tensor([1.0, 1.0, 0.0])
        size = self.smallest + (self.largest - self.smallest) * uniform(3)
        kind = torch.randint(KINDS, (count, 3), generator=generator)
        present = torch.arange(3) < objects[:, None]
        return SceneSet(objects, places + offset, size, kind, uniform(3, 3), present, self.edge)


@dataclass(frozen=True)
class SceneSet:
    """N random scenes of up to three objects each.

    Attributes:
        objects: (N,), number of objects.
        centers, sizes, kinds, colours: (N, 3, ...) of each object.
        present: (N, 3), whether there is a second and third object.
        edge: width of the transition at a surface.
    """

    objects: Tensor
    centers: Tensor
    sizes: Tensor
    kinds: Tensor
    colours: Tensor
    present: Tensor
    edge: float

    def __len__(self) -> int:
        return len(self.objects)

    def occupancy(self, points: Tensor) -> Tensor:
        """Return the occupancy (N, P, 3), from 0 to 1, of points (P, 3) by each object."""
        filled = points.new_zeros(len(self), 3, len(points))
        for kind in range(KINDS):
            which = self.present & (self.kinds == kind)
            x, y, z = (points[:, i] - self.centers[which][:, i, None] for i in range(3))
            distance = _distance(kind, x, y, z)
            # a soft indicator of |x - c| < size in the solid's norm: edge is the width of the transition
            filled[which] = torch.sigmoid((self.sizes[which][:, None] - distance) / self.edge)
        return filled.mT

    def part(self, rows: slice) -> "SceneSet":
        """Return some of the scenes."""
        names = ("objects", "centers", "sizes", "kinds", "colours", "present")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


def _distance(kind: int, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Return distances from the center of a sphere, box or cylinder, in the norm whose ball is the solid."""
    flat = x.square() + y.square()
    if kind == 0:
        return (flat + z.square()).sqrt()
    if kind == 1:
        return torch.maximum(torch.maximum(x.abs(), y.abs()), z.abs())
    return torch.maximum(flat.sqrt(), z.abs())


def render_opaque(scenes: SceneSet, camera: Camera, view: Tensor, size: int, samples: int) -> Tensor:
    """Return images (N, 3, H, W) of solid scenes on white, in [0, 1]."""
    points, step = camera.points(view, size, samples)
    filled = scenes.occupancy(points.flatten(0, 1)).unflatten(1, (-1, samples))  # (N, R, S, 3)
    weight = absorption(SOLID * filled.sum(-1), step)
    share = weight / filled.sum(-1).clamp(min=1e-6)
    # light of a sample is divided among overlapping objects by occupancy
    objects = torch.einsum("nrs,nrso->nro", share, filled)
    image = objects @ scenes.colours + (1 - weight.sum(2))[..., None]
    return image.transpose(1, 2).unflatten(2, (size, size))


def render_ink(scenes: SceneSet, camera: Camera, view: Tensor, size: int, samples: int) -> Tensor:
    """Return images (N, 3, H, W) of scenes of ink: one minus its line integrals, so affine in the ink."""
    points, step = camera.points(view, size, samples)
    filled = scenes.occupancy(points.flatten(0, 1)).unflatten(1, (-1, samples))
    ink = torch.einsum("nrso,noc->nrc", filled, 1 - scenes.colours)
    return (1 - INK * step * ink).transpose(1, 2).unflatten(2, (size, size))


SOLID = 20.0
INK = 0.7
