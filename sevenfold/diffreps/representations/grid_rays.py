"""A grid of density and colour along many rays: images and derivatives in closed form.

Samples on rays are a linear image of the grid, so that rendering B grids, and products with their Jacobians,
cost one interpolation and little arithmetic for each ray. Let w_k be the light from sample k and T_k the
transmittance behind it. The derivative of the colour sum_k w_k c_k + T_S b by the density of sample k is then
T_k c_k - beyond_k, times the spacing, where beyond_k is the colour from behind it; that by its colour is w_k.
Quadrature of the volume rendering integral: Max 1995; Mildenhall et al. 2020, eq. 3.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sevenfold.diffreps.representations.base import Linear


@dataclass(frozen=True)
class Rays:
    """R rays of S samples through a grid.

    Attributes:
        weights: (R S, G^3) of the grid's nodes at the samples.
        step: (R, 1), the spacing of samples.
        inside: (R, S), whether samples are inside the cube.
    """

    weights: Tensor
    step: Tensor
    inside: Tensor

    def values(self, grid: Tensor) -> Tensor:
        """Return grids (B, F, G^3) at the samples, (B, F, R, S)."""
        return (grid @ self.weights.T).unflatten(2, self.inside.shape)

    def spread(self, values: Tensor) -> Tensor:
        """Return the transpose of :meth:`values`."""
        return values.flatten(2) @ self.weights


@dataclass(frozen=True)
class FineRays:
    """R rays of S samples through a grid of many nodes, of which each sample touches eight.

    Attributes:
        corners: (8, R S), the numbers of these nodes.
        shares: (8, R S), their weights; 0 outside the cube.
        step, inside: as for :class:`Rays`.
        nodes: of the grid, G^3.
    """

    corners: Tensor
    shares: Tensor
    step: Tensor
    inside: Tensor
    nodes: int

    def values(self, grid: Tensor) -> Tensor:
        """Return grids (B, F, G^3) at the samples, (B, F, R, S)."""
        pairs = zip(self.corners, self.shares, strict=True)
        return sum(grid[..., node] * share for node, share in pairs).unflatten(2, self.inside.shape)

    def spread(self, values: Tensor) -> Tensor:
        """Return the transpose of :meth:`values`."""
        flat = values.flatten(2)
        grid = flat.new_zeros(*flat.shape[:2], self.nodes)
        for node, share in zip(self.corners, self.shares, strict=True):
            grid.index_add_(2, node, flat * share)
        return grid


@dataclass(frozen=True)
class ShadedRays:
    """The light of B grids along rays.

    Attributes:
        rays: the rays.
        light: (B, 1, R, S), the share of the light from each sample.
        passed: (B, 1, R, S), the transmittance behind each sample.
        colour: (B, C, R, S).
        dense, tint: derivatives of density and colour by raw values.
        behind: the background.
    """

    rays: Rays | FineRays
    light: Tensor
    passed: Tensor
    colour: Tensor
    dense: Tensor
    tint: Tensor
    behind: float

    def image(self) -> Tensor:
        """Return the rays' colours (B, C, R)."""
        return (self.light * self.colour).sum(3) + self.passed[..., -1] * self.behind

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return derivatives of rays' colours by the raw density and colour of samples, (B, C, R, S)."""
        # dC/dsigma_k = delta_k (T_k c_k - sum_{j > k} w_j c_j - T_S b),  dC/dc_k = w_k
        contribution = self.light * self.colour
        beyond = (
            contribution.sum(3, keepdim=True) - contribution.cumsum(3) + self.passed[..., -1:] * self.behind
        )
        by_density = (self.passed * self.colour - beyond) * (self.rays.step * self.dense)
        return by_density, self.light * self.tint

    def linear(self) -> Linear:
        """Return products with the Jacobian of :meth:`image` by the grid (B, 1 + C, G^3)."""
        by_density, by_colour = self.factors()

        def push(d: Tensor) -> Tensor:
            values = self.rays.values(d)
            return (by_density * values[:, :1] + by_colour * values[:, 1:]).sum(3)

        def pull(r: Tensor) -> Tensor:
            pulled = r[..., None]
            density = (by_density * pulled).sum(1, keepdim=True)
            return self.rays.spread(torch.cat([density, by_colour * pulled], 1))

        return Linear(push, pull)

    def jacobian(self) -> Tensor:
        """Return that Jacobian itself, (B, C, R, 1 + C, G^3); of rays with all weights."""
        assert isinstance(self.rays, Rays)
        by_density, by_colour = self.factors()
        channels = by_colour.shape[1]
        weights = self.rays.weights.unflatten(0, self.rays.inside.shape)
        density_part = torch.einsum("bcrs,rsg->bcrg", by_density, weights)
        colour_part = torch.einsum("bcrs,rsg->bcrg", by_colour.expand_as(by_density), weights)
        # a channel's image depends on the colour of that channel only
        each = torch.eye(channels, dtype=colour_part.dtype, device=colour_part.device)[None, :, None, :, None]
        return torch.cat([density_part[:, :, :, None], each * colour_part[:, :, :, None]], 3)
