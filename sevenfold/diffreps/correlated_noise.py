"""View noise that is correlated between views, yet exactly N(0, I) within each.

Every kind here has white variables w that all views share and gives view v the noise
e_v = U_v W_v^T w + (I - U_v U_v^T) n_v with orthonormal columns U_v, W_v and white n_v of the view alone.
Independent noise counts a scene once for every view that shows it and loses diversity; shared noise does not.
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
    """One noise image for all views: the cheapest correlation, between pixels that do not correspond."""

    def prepare(self) -> None:
        """Assign the first view's noise to every view."""
        self.owner = torch.zeros(len(self.pool), dtype=torch.long, device=self.pool.device)


class SharedNoise(ViewNoise):
    """View noise with white variables w that all views share.

    A view's noise is split into ``copies`` independent rows of values, each with a separate w.
    """

    copies: int
    left: list[Tensor]
    right: list[Tensor]

    @abstractmethod
    def map(self, view: Tensor) -> Tensor:
        """Return the map (n, m), in float64, from w to a view; only its singular vectors matter."""

    @property
    @abstractmethod
    def keep(self) -> float:
        """Return the share of the largest squared singular value below which noise is not shared."""

    @property
    def width(self) -> int:
        """Return the number of shared variables in each copy."""
        return len(self.right[0])

    def prepare(self) -> None:
        """Compute the shared directions of every view."""
        pairs = [orthonormal(self.map(view.double().cpu()), self.keep) for view in self.pool]
        self.left = [left.to(self.pool) for left, _ in pairs]
        self.right = [right.to(self.pool) for _, right in pairs]

    def start(self, streams: Streams) -> Noise:
        """Draw the noise of every view and the shared variables."""
        white = streams.normal(len(self.pool), *self.representation.shape)
        return {"views": white, "shared": streams.normal(self.copies, self.width)}

    def at(self, noise: Noise, index: Tensor, theta: Tensor) -> Tensor:
        """Return the noise of views."""
        return torch.stack([self._of(noise, k) for k in index.tolist()], 1)

    def coarse(self, white: Tensor) -> Tensor:
        """Return those white values (B, copies, n) of a view's noise (B, C, H, W) that sharing changes."""
        return white.flatten(1).unflatten(1, (self.copies, -1))

    def fine(self, change: Tensor) -> Tensor:
        """Return the change (B, C, H, W) of a view's noise from a change of those values."""
        return change.reshape(-1, *self.representation.shape)

    def _of(self, noise: Noise, k: int) -> Tensor:
        white, left = noise["views"][:, k], self.left[k]
        # e_v = n_v + U_v (W_v^T w - U_v^T n_v): white, because U_v and W_v have orthonormal columns
        change = noise["shared"] @ self.right[k] - self.coarse(white) @ left
        return white + self.fine(change @ left.T)


class Object(SharedNoise):
    """Noise of the volume: white on a grid, windowed, projected to every camera by sums along its rays.

    Args:
        window: standard deviation of the Gaussian window about the origin; null for none.
        grid: nodes along each side; every channel has a separate grid.
        half: half the width of the grid's cube; a little more than the scene's.
        cutoff: share of the largest eigenvalue below which a direction's noise is not shared.
        blocks: views of more pixels per side share only the means of this many blocks per side.
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
        """Compute the size of blocks, then the directions."""
        self.find_volume()
        super().prepare()

    def find_volume(self) -> None:
        """Set the volume and the size of blocks."""
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
        # B_v: sums of the grid's hat functions along the rays of view v, times exp(-|x|^2 / (2 window^2))
        sums = torch.stack([hats(ray, self.grid).sum(0) for ray in points])
        if self.window is None:
            return sums
        line = torch.linspace(-self.half, self.half, self.grid, dtype=sums.dtype).square()
        square = line[:, None, None] + line[:, None] + line
        return sums * torch.exp(-square / (2 * self.window**2)).flatten()

    def coarse(self, white: Tensor) -> Tensor:
        """Return block means, scaled to unit variance."""
        # the mean of b^2 white values has variance 1 / b^2
        return self.block * torch.nn.functional.avg_pool2d(white, self.block).flatten(2)

    def fine(self, change: Tensor) -> Tensor:
        """Return the change, constant within each block."""
        side = self.representation.shape[1] // self.block
        spread = (change / self.block).unflatten(2, (side, side))
        return spread.repeat_interleave(self.block, 2).repeat_interleave(self.block, 3)


class Canonical(SharedNoise):
    """Noise with the correlation between views that renderings of known scenes have.

    It is an upper bound, because it needs several views of the same scenes.

    Args:
        world: the world whose training scenes are rendered.
        cutoff: share of the largest eigenvalue below which a direction's noise is not shared.
    """

    copies = 1

    def __init__(self, *, world: World = World(), cutoff: OpenShare = 1e-3) -> None:
        self.world, self.cutoff = world, cutoff

    @property
    def keep(self) -> float:
        """Return the cutoff."""
        return self.cutoff

    def map(self, view: Tensor) -> Tensor:
        """Return the centered renderings, one column for each scene."""
        # columns are proportional to A_v C^(1/2), so that e_v = S_v^(-1/2) A_v C^(1/2) w, S_v = A_v C A_v^T
        images = self.world.renders(view[None].float())[:, 0].flatten(1).double()
        return (images - images.mean(0)).T


def orthonormal(matrix: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    """Return the singular vectors U (n, k) and W (m, k) of the large singular values of ``matrix`` (n, m).

    Those are the values whose square is above ``cutoff`` times the largest square.
    """
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    large = values.square() > cutoff * values[0] ** 2
    return left[:, large], right[large].T
