"""A volume of ink without occlusion: affine in its parameters, so that laws and solves are exact."""

import torch
from torch import Tensor

from sevenfold.diffreps.representations.base import Layout
from sevenfold.diffreps.representations.volume import Volume
from sevenfold.diffreps.worlds.cameras import Camera
from sevenfold.diffreps.worlds.march import hats
from sevenfold.ranges import AtLeastTwo, Resolution, Size


class InkVolume(Volume):
    """A volume of ink, seen as one minus its line integrals, on a grid of ``resolution`` nodes per side.

    Args:
        size, channels, camera, samples: of a view.
        resolution: nodes per side.
    """

    affine = True

    def __init__(
        self,
        *,
        size: Size = 12,
        channels: Size = 3,
        camera: Camera = Camera(),
        samples: AtLeastTwo = 14,
        resolution: Resolution = 6,
    ) -> None:
        layout = Layout({"ink": (channels, resolution**3)})
        super().__init__((channels, size, size), layout, camera, samples)
        self.resolution = resolution

    def initial(self, generator: torch.Generator) -> Tensor:
        """Return no ink."""
        return torch.zeros(self.layout.size)

    def integrals(self, view: Tensor) -> Tensor:
        """Return the line integrals (H W, G^3) of the grid's hat functions along a view's rays."""
        # (A_v)_ij = integral of hat_j along ray i: the X-ray transform on a grid   (Kak & Slaney 1988)
        points, step = self.camera.points(view, self.shape[1], self.samples)
        weights = hats(points.flatten(0, 1), self.resolution)
        return step * weights.unflatten(0, (-1, self.samples)).sum(1)

    def render(self, params: Tensor, view: Tensor) -> Tensor:
        """Return the image."""
        ink = self.layout.split(params)["ink"]
        return (1 - ink @ self.integrals(view).T).reshape(self.shape)

    def jacobian(self, params: Tensor, views: Tensor) -> Tensor:
        """Return the Jacobian, the same everywhere."""
        each = [-torch.block_diag(*[self.integrals(view)] * self.shape[0]) for view in views]
        return torch.cat(each).expand(len(params), -1, -1)
