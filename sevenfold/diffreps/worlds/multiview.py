"""The multi-view world: training scenes for priors, test scenes and held-out views for scores."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Literal

import torch
from torch import Tensor

from sevenfold.diffreps.worlds.cameras import Camera
from sevenfold.diffreps.worlds.scenes import Scenes, SceneSet, render_ink, render_opaque
from sevenfold.ranges import AtLeastTwo, Range, Seed

RENDERERS = {"opaque": render_opaque, "ink": render_ink}
HELD_OUT = 8
HELD_OUT_OFFSET = 19.6875  # degrees: between the cameras of every ring of 8, 16, 32 and 64
BATCH = 64
Part = Literal["train", "test"]


@dataclass(frozen=True)
class World:
    """A world of scenes and cameras.

    Args:
        kind: ``opaque`` (solid surfaces on white) or ``ink`` (line integrals, so that a volume is affine).
        scenes: their law.
        camera: of the ring of views.
        size: side of an image in px.
        samples: on a ray.
        train: number of scenes for priors.
        test: number of scenes for comparison.
        seed: of the scenes.
        unseen: elevation in degrees of the held-out views; null: that of the ring.
    """

    kind: Literal["opaque", "ink"] = "opaque"
    scenes: Scenes = Scenes()
    camera: Camera = Camera()
    size: AtLeastTwo = 12
    samples: AtLeastTwo = 24
    train: AtLeastTwo = 1000
    test: AtLeastTwo = 256
    seed: Seed = 0
    unseen: Annotated[float, Range(-90, 90, open=True, note="an angle in degrees")] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (C, H, W) of an image."""
        return 3, self.size, self.size

    def scene_set(self, part: Part = "train") -> SceneSet:
        """Return the scenes of a part."""
        return self.scenes.draw(self.train if part == "train" else self.test, self.seed, part)

    def ring(self, count: int) -> Tensor:
        """Return the views (count, 2) of a ring."""
        return self.camera.ring(count)

    def held_out(self) -> Tensor:
        """Return the held-out views (8, 2), which no ring contains.

        They are 2.8 degrees from the nearest camera of a ring of 16 and 19.7 of a ring of 8, or more where
        ``unseen`` is another elevation.
        """
        elevation = self.camera.elevation if self.unseen is None else self.unseen
        return replace(self.camera, elevation=elevation).ring(HELD_OUT, HELD_OUT_OFFSET)

    def renders(self, views: Tensor, part: Part = "train") -> Tensor:
        """Return images (N, K, 3, H, W) of all scenes of a part in views (K, 2) (cached)."""
        return torch.stack([_renders(self, tuple(view), part) for view in views.tolist()], 1)


@lru_cache(maxsize=128)
def _renders(world: World, view: tuple[float, ...], part: Part) -> Tensor:
    # Worlds are frozen dataclasses, so that they are keys of the cache.
    scenes, render, where = world.scene_set(part), RENDERERS[world.kind], torch.tensor(view)
    batches = [scenes.part(slice(at, at + BATCH)) for at in range(0, len(scenes), BATCH)]
    return torch.cat([render(some, world.camera, where, world.size, world.samples) for some in batches])
