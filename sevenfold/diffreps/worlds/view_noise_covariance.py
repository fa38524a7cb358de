"""The exact covariance of volumes sampled by the multi-view pullback, for each kind of view noise.

A volume of ink is affine, and with Gaussian laws of its views one step of the sampler is a linear map. The
product of these maps gives the covariance without sampling. The spread is the root of the trace of held-out
renders' covariance relative to that of the true covariance: 1 is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.correlated_noise import Object, orthonormal
from sevenfold.diffreps.representations.ink_volume import InkVolume
from sevenfold.diffreps.schedules import karras
from sevenfold.diffreps.worlds.cameras import Camera
from sevenfold.diffreps.worlds.multiview import HELD_OUT, HELD_OUT_OFFSET
from sevenfold.diffreps.worlds.scenes import Scenes
from sevenfold.ranges import AtLeastTwo, Count, Resolution, Scale, Seed, Size

Kind = Literal["independent", "same", "object_plain", "object", "canonical"]
KINDS: tuple[Kind, ...] = ("independent", "same", "object_plain", "object", "canonical")
Order = Literal["euler", "heun"]
CUTOFF = 1e-9
TOP = 0.95
LAW_SCENES = Scenes(
    distance=0.661, jitter=0.321, smallest=0.208, largest=0.539, counts=(1.0, 1.0, 1.0), edge=0.049
)
LAW_CAMERA = Camera(elevation=14.2, extent=1.084, depth=1.11)


@dataclass(frozen=True)
class Spread:
    """Root trace ratios of the covariance of held-out renders to the true covariance.

    Attributes:
        total: of all components.
        top: of the leading components with 95 % of the true variance.
        rest: of the others.
    """

    total: float
    top: float
    rest: float


@dataclass(frozen=True)
class Setup:
    """Options of the problem: scenes with covariance C + floor I, in one gray channel, with parallel rays.

    Args:
        scenes: their law.
        camera: of the ring of views.
        count: scenes that the covariance is estimated from.
        resolution: nodes along a side of the grid.
        size: side of an image in px.
        samples: on a ray.
        floor: added to the variances of occupancy.
        levels: noise levels of a run.
        sigma_min, sigma_max: lowest and highest noise level.
        seed: of the scenes.
    """

    scenes: Scenes = LAW_SCENES
    camera: Camera = LAW_CAMERA
    count: Count = 1000
    resolution: Resolution = 5
    size: Size = 8
    samples: AtLeastTwo = 14
    floor: Scale = 1e-4
    levels: Size = 40
    sigma_min: Scale = 0.005
    sigma_max: Scale = 60.0
    seed: Seed = 0


class ViewLaw:
    """The law of sampled volumes for a ring of ``views``."""

    def __init__(self, setup: Setup, views: int) -> None:
        if views < 1:
            raise ConfigError("views", f"needs at least 1, got {views}")
        self.setup = setup
        self.volume = InkVolume(
            size=setup.size, channels=1, camera=setup.camera, samples=setup.samples,
            resolution=setup.resolution,
        ).double()  # fmt: skip
        self.ring = setup.camera.ring(views).double()
        self.covariance = scene_covariance(setup)
        self.maps = [self.volume.integrals(view) for view in self.ring]
        self.stack = torch.cat(self.maps)
        self.inverse = torch.linalg.pinv(self.stack, rtol=1e-10)
        held_out = setup.camera.ring(HELD_OUT, HELD_OUT_OFFSET).double()
        self.held = torch.cat([self.volume.integrals(view) for view in held_out])
        self.marginals = [eigen(a @ self.covariance @ a.T) for a in self.maps]
        self.joint = eigen(self.stack @ self.covariance @ self.stack.T)

    def overlap(self) -> float:
        """Return the mean number of views that show a direction of scene space."""
        # The product of the views' laws has precision N = sum_v P_v with projectors P_v: n_j views show
        # direction j, which shrinks by 1 / sqrt(n_j).
        ranks = [int((values > CUTOFF * values.max()).sum()) for values, _ in self.marginals]
        return sum(ranks) / self.volume.layout.size

    def noise(self, kind: Kind, window: float = 0.5) -> Tensor:
        """Return the covariance (V n, V n) of all views' noise."""
        views, n = len(self.maps), len(self.maps[0])
        if kind == "independent":
            return torch.eye(views * n).double()
        if kind == "same":
            return torch.eye(n).double().repeat(views, views)
        if kind == "canonical":
            values, vectors = torch.linalg.eigh(self.covariance)
            root = vectors * values.clamp(min=0).sqrt() @ vectors.T
            return noise_covariance([orthonormal(a @ root, CUTOFF) for a in self.maps])
        bound = Object(window=window if kind == "object" else None, cutoff=CUTOFF).bind(
            self.volume, self.ring
        )
        assert isinstance(bound, Object)
        return noise_covariance(list(zip(bound.left, bound.right, strict=True)))

    def split(self, order: Order, *, joint: bool = False) -> Tensor:
        """Return the map (p, V n) from all views' noise to the parameters at the end of the pullback."""
        theta_map = torch.zeros(self.stack.shape[1], len(self.stack)).double()
        for sigma, following in self.levels():
            theta_map = self.step(
                theta_map, torch.eye(len(self.stack)).double(), sigma, following, order, joint
            )
        return theta_map

    def step(
        self, theta_map: Tensor, e: Tensor, sigma: float, following: float, order: Order, joint: bool = False
    ) -> Tensor:
        """Return the parameters' map after one level; ``moved`` (p, m) and ``e`` (V n, m) before it."""
        y = self.stack @ theta_map
        # dtheta/dsigma = A^+ (y - D(y + sigma e, sigma)) / sigma, applied to the columns of a basis of e
        slope = (y - self.denoise(y + sigma * e, sigma, joint)) / sigma
        euler = theta_map + self.inverse @ ((following - sigma) * slope)
        if order == "euler" or following == 0:
            return euler
        y = self.stack @ euler
        second = (y - self.denoise(y + following * e, following, joint)) / following
        return theta_map + self.inverse @ ((following - sigma) * (slope + second) / 2)

    def denoise(self, z: Tensor, sigma: float, joint: bool) -> Tensor:
        """Return the linear part of the denoiser of columns ``z``, for views separately or jointly."""
        if joint:
            return shrinkage(z, self.joint, sigma)
        parts = z.split(len(self.maps[0]))
        return torch.cat(
            [shrinkage(z, marginal, sigma) for z, marginal in zip(parts, self.marginals, strict=True)]
        )

    def levels(self) -> list[tuple[float, float]]:
        """Return pairs of noise levels, the last of which leads to 0."""
        s = self.setup
        sigmas = karras(prior=None, levels=s.levels, sigma_min=s.sigma_min, sigma_max=s.sigma_max)  # type: ignore[arg-type]
        return list(zip(sigmas.tolist(), sigmas.tolist()[1:], strict=False))

    def resampled(self, noise: Tensor, order: Order, rounds: int) -> Tensor:
        """Return the parameters' covariance with ``rounds`` of resampling at every level but the last."""
        p, n = self.stack.shape[1], len(self.stack)
        moment = torch.block_diag(torch.zeros(p, p).double(), noise)
        basis = torch.eye(p + n).double()
        for sigma, following in self.levels():
            top = self.step(basis[:p], basis[p:], sigma, following, order)
            for number in range(rounds + 1 if following else 1):
                if number:
                    moment = mixed_moment(moment, p, noise, following / sigma)
                corner, cross = top @ moment @ top.T, top @ moment[:, p:]
                moment = torch.cat([torch.cat([corner, cross], 1), torch.cat([cross.T, moment[p:, p:]], 1)])
        return moment[:p, :p]

    def product(self) -> Tensor:
        """Return the covariance of the product of the views' laws, the limit of many rounds of resampling."""
        # (sum_v A_v^T S_v^+ A_v)^-1
        precision = sum(
            a.T @ (u[:, keep] / values[keep]) @ u[:, keep].T @ a
            for a, (values, u) in zip(self.maps, self.marginals, strict=True)
            if (keep := values > CUTOFF * values.max()) is not None
        )
        return torch.linalg.pinv(torch.as_tensor(precision), rtol=1e-12, hermitian=True)

    def spread(self, covariance: Tensor) -> Spread:
        """Return the spread of a covariance (p, p) of parameters, in held-out renders."""
        true = self.held @ self.covariance @ self.held.T
        sampled = self.held @ covariance @ self.held.T
        values, vectors = torch.linalg.eigh(true)
        values, vectors = values.flip(0), vectors.flip(1)
        variances = (vectors * (sampled @ vectors)).sum(0)
        top = int((values.cumsum(0) < TOP * values.sum()).sum()) + 1
        parts = [slice(None), slice(0, top), slice(top, None)]
        return Spread(*(float((variances[part].sum() / values[part].sum()).sqrt()) for part in parts))


def noise_covariance(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the covariance of noise U_v W_v^T w + (I - U_v U_v^T) n_v of views v."""
    common = torch.cat([left @ right.T for left, right in pairs])
    complements = [torch.eye(len(left)).to(left) - left @ left.T for left, _ in pairs]
    return common @ common.T + torch.block_diag(*complements)


def eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, rising, and eigenvectors of a symmetric matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return values, vectors


def shrinkage(z: Tensor, eigenpairs: tuple[Tensor, Tensor], sigma: float) -> Tensor:
    """Return S (S + sigma^2 I)^-1 z for S = vectors values vectors^T."""
    values, vectors = eigenpairs[0].clamp(min=0), eigenpairs[1]
    return vectors @ ((values / (values + sigma**2))[:, None] * (vectors.T @ z))


def mixed_moment(moment: Tensor, p: int, noise: Tensor, keep: float) -> Tensor:
    """Return the second moment after the noise e is replaced by keep e + sqrt(1 - keep^2) n of equal law."""
    scale = torch.cat([torch.ones(p), torch.full((len(noise),), keep)]).to(moment)
    fresh = torch.block_diag(torch.zeros(p, p).to(noise), (1 - keep**2) * noise)
    return scale[:, None] * moment * scale + fresh


def scene_covariance(setup: Setup) -> Tensor:
    """Return the covariance of scenes' occupancy on the grid, ``floor`` added to its diagonal."""
    line = torch.linspace(-1, 1, setup.resolution)
    points = torch.cartesian_prod(line, line, line)
    filled = setup.scenes.draw(setup.count, setup.seed, "law").occupancy(points).double()
    centered = 1 - (1 - filled).prod(-1)
    centered = centered - centered.mean(0)
    return centered.T @ centered / (setup.count - 1) + setup.floor * torch.eye(len(points)).double()
