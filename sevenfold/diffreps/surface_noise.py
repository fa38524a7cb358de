"""View noise anchored to the visible surface of a sample, for solid scenes with distinct front and back.

Object noise assumes by its window that scenes are in the middle and that a ray shows all it passes. Here the
volume's white grid is weighted by the sample's opacity instead. An experiment: see docs/log.md.
"""

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.correlated_noise import Object
from sevenfold.diffreps.representations.volume import Nerf
from sevenfold.diffreps.view_noise import Noise
from sevenfold.diffreps.worlds.march import absorption, hats
from sevenfold.errors import InputError
from sevenfold.ranges import Count, OpenShare, PositiveShare, Resolution, Scale


class Surface(Object):
    """Object noise whose ray sums are weighted by the light that each place sends to the eye.

    Given the parameters, a view's noise is N(0, I). The white variables stay fixed while noise follows the
    surface as parameters change; over a whole run it is normal only approximately.

    Args:
        floor: share of a ray's weight that is spread evenly along it, as without a window.
        grid, half, cutoff, blocks: as for :class:`Object`.
    """

    def __init__(
        self,
        *,
        floor: PositiveShare = 0.2,
        grid: Resolution = 10,
        half: Scale = 1.25,
        cutoff: OpenShare = 2e-4,
        blocks: Count = 32,
    ) -> None:
        super().__init__(window=None, grid=grid, half=half, cutoff=cutoff, blocks=blocks)
        self.floor = floor

    def prepare(self) -> None:
        """Set the volume, which needs opacity."""
        self.find_volume()
        if not isinstance(self.volume, Nerf):
            raise ConfigError("view_noise", "surface noise needs a volume with opacity; use object noise")
        self.nerf = self.volume

    def at(self, noise: Noise, index: Tensor, theta: Tensor) -> Tensor:
        """Return the noise of views of the volumes ``theta``."""
        if theta.ndim != 2 or theta.shape[1] != self.representation.layout.size:
            raise InputError("surface noise follows a volume's parameters; images by themselves have none")
        return torch.stack([self._view_noise(noise, k, theta) for k in index.tolist()], 1)

    def _view_noise(self, noise: Noise, k: int, theta: Tensor) -> Tensor:
        white = noise["views"][:, k]
        # B B^T = U L U^T with L above the cutoff;  e = n + U (L^(-1/2) U^T B w - U^T n)
        sums = self.sums(theta, self.pool[k])  # (B, n, m)
        values, left = torch.linalg.eigh(sums @ sums.mT)
        large = values > self.cutoff * values[:, -1:]
        left = left * large[:, None]
        scale = torch.where(large, values, 1).rsqrt()
        common = torch.einsum("bcm,bnm,bnk->bck", noise["shared"], sums, left) * scale[:, None]
        return white + self.fine((common - self.coarse(white) @ left) @ left.mT)

    def sums(self, theta: Tensor, view: Tensor) -> Tensor:
        """Return the map (B, n, m) from the white grid to a view: sums along its rays, weighted by light."""
        volume, side = self.nerf, self.representation.shape[1] // self.block
        points, step = volume.camera.points(view, side, volume.samples)
        flat = points.flatten(0, 1)
        density = torch.func.vmap(volume.density, (0, None))(theta, flat).unflatten(1, points.shape[:2])
        light = absorption(density, step)
        weight = (1 - self.floor) * light + self.floor / volume.samples
        nodes = hats(flat / self.half, self.grid).unflatten(0, points.shape[:2])  # (R, S, m)
        return torch.einsum("brs,rsm->brm", weight, nodes)
