"""Noise correlated between views, yet exactly N(0, I) within each: views of one draw agree.

Every kind here has white variables w that all views share and gives view v the noise
e_v = U_v W_v^T w + (I - U_v U_v^T) n_v with orthonormal columns U_v, W_v and the view's own white n_v.
Independent noise counts a scene once for every view that sees it and loses diversity; shared noise does not.
"""

from abc import abstractmethod

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.random_streams import Streams
from sevenfold.diffreps.representations.volume import Volume
from sevenfold.diffreps.view_noise import Noise, Pool, ViewNoise
from sevenfold.diffreps.worlds.march import hats
from sevenfold.diffreps.worlds.multiview import World
from sevenfold.ranges import Count, OpenShare, Resolution, Scale


class Same(Pool):
    """One noise image for all views: the cheapest correlation, between places that do not correspond."""

    def prepare(self) -> None:
        """Let every view take the first one's noise."""
        self.owner = torch.zeros(len(self.pool), dtype=torch.long, device=self.pool.device)


class SharedNoise(ViewNoise):
    """Views share white variables w.

    A view's noise is seen as ``copies`` rows of values that share nothing with each other, each with its
    own w.
    """

    copies: int
    left: list[Tensor]
    right: list[Tensor]

    @abstractmethod
    def map(self, view: Tensor) -> Tensor:
        """Return what a view shows of w, (n, m) float64: only its singular vectors matter."""

    @property
    @abstractmethod
    def keep(self) -> float:
        """Return below what share of the largest squared singular value a direction keeps its own noise."""

    @property
    def width(self) -> int:
        """Return how many variables views share, a copy."""
        return len(self.right[0])

    def prepare(self) -> None:
        """Find the directions every view shares."""
        pairs = [orthonormal(self.map(view.double().cpu()), self.keep) for view in self.pool]
        self.left = [left.to(self.pool) for left, _ in pairs]
        self.right = [right.to(self.pool) for _, right in pairs]

    def start(self, streams: Streams) -> Noise:
        """Draw every view's own noise, and what is shared."""
        white = streams.normal(len(self.pool), *self.representation.shape)
        return {"views": white, "shared": streams.normal(self.copies, self.width)}

    def at(self, noise: Noise, index: Tensor, theta: Tensor) -> Tensor:
        """Return the noise of views."""
        return torch.stack([self._of(noise, k) for k in index.tolist()], 1)

    def coarse(self, white: Tensor) -> Tensor:
        """Return the white values (B, copies, n) of a view's own noise (B, C, H, W) that are replaced."""
        return white.flatten(1).unflatten(1, (self.copies, -1))

    def fine(self, change: Tensor) -> Tensor:
        """Return the change (B, C, H, W) of a view's noise for a change of those values."""
        return change.reshape(-1, *self.representation.shape)

    def _of(self, noise: Noise, k: int) -> Tensor:
        white, left = noise["views"][:, k], self.left[k]
        change = noise["shared"] @ self.right[k] - self.coarse(white) @ left
        return white + self.fine(change @ left.T)


class Object(SharedNoise):
    """Noise that lives in the volume: white on a grid, windowed, seen by every camera as sums along its rays.

    Args:
        window: deviation of the Gaussian window about the origin; null for none.
        grid: nodes along each side. Every channel has its own.
        half: half the width of the grid's cube; a little more than the scene's.
        cutoff: share of the largest eigenvalue below which a direction keeps its own noise.
        blocks: views of more pixels a side share the means of so many blocks a side only.
    """

    def __init__(
        self,
        *,
        window: Scale | None = 0.5,
        grid: Resolution = 10,
        half: Scale = 1.25,
        cutoff: OpenShare = 0.02,
        blocks: Count = 32,
    ) -> None:
        self.window, self.grid, self.half, self.cutoff, self.blocks = window, grid, half, cutoff, blocks

    @property
    def keep(self) -> float:
        """Return the cutoff."""
        return self.cutoff

    @property
    def width(self) -> int:
        """Return the number of nodes."""
        return self.grid**3

    volume: Volume

    def prepare(self) -> None:
        """Find how large blocks are, then the directions."""
        self.find_volume()
        super().prepare()

    def find_volume(self) -> None:
        """Find the volume that is seen, and how large blocks are."""
        inner = getattr(self.representation, "inner", self.representation)  # of an autoencoded one
        if not isinstance(inner, Volume):
            raise ConfigError("view_noise", f"object noise needs a volume, not {type(inner).__name__}")
        self.volume = inner
        self.copies, size, _ = self.representation.shape
        self.block = next(b for b in range(1, size + 1) if size % b == 0 and size // b <= self.blocks)

    def map(self, view: Tensor) -> Tensor:
        """Return the windowed ray sums of the grid."""
        volume = self.volume
        side = self.representation.shape[1] // self.block
        points = volume.camera.points(view, side, volume.samples)[0] / self.half
        sums = torch.stack([hats(ray, self.grid).sum(0) for ray in points])
        if self.window is None:
            return sums
        line = torch.linspace(-self.half, self.half, self.grid, dtype=sums.dtype).square()
        square = line[:, None, None] + line[:, None] + line
        return sums * torch.exp(-square / (2 * self.window**2)).flatten()

    def coarse(self, white: Tensor) -> Tensor:
        """Return block means, scaled to be white."""
        return self.block * torch.nn.functional.avg_pool2d(white, self.block).flatten(2)

    def fine(self, change: Tensor) -> Tensor:
        """Return the change spread over the blocks."""
        side = self.representation.shape[1] // self.block
        spread = (change / self.block).unflatten(2, (side, side))
        return spread.repeat_interleave(self.block, 2).repeat_interleave(self.block, 3)


class Canonical(SharedNoise):
    """Noise with the correlation between views that renderings of known scenes have: an upper bound, as it
    needs pairs of views of the same scenes.

    Args:
        world: whose training scenes are rendered.
        cutoff: share of the largest eigenvalue below which a direction keeps its own noise.
    """

    copies = 1

    def __init__(self, *, world: World = World(), cutoff: OpenShare = 1e-3) -> None:
        self.world, self.cutoff = world, cutoff

    @property
    def keep(self) -> float:
        """Return the cutoff."""
        return self.cutoff

    def map(self, view: Tensor) -> Tensor:
        """Return the centered renderings, one column a scene."""
        images = self.world.renders(view[None].float())[:, 0].flatten(1).double()
        return (images - images.mean(0)).T


def orthonormal(matrix: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    """Return U (n, k) and W (m, k), the singular vectors of ``matrix`` (n, m) whose squared singular value is
    above ``cutoff`` times the largest.
    """
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    large = values.square() > cutoff * values[0] ** 2
    return left[:, large], right[large].T
