"""Ray marching in plain PyTorch: absorption along rays, interpolation on grids, recomputed derivatives."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

DENSE_LIMIT = 12


def absorption(density: Tensor, step: Tensor) -> Tensor:
    """Return the share of each sample in the light of a ray: alpha_i prod_{j<i} (1 - alpha_j).

    ``density`` (..., R, S) at samples front to back, ``step`` (R, 1) their spacing; the shares (..., R, S)
    sum to the ray's opacity.
    """
    # w_i = exp(-sum_{j < i} sigma_j delta_j) (1 - exp(-sigma_i delta_i))   (Max 1995; Mildenhall et al. 2020,
    # eq. 3)
    thickness = density * step
    before = thickness.cumsum(-1) - thickness
    return torch.exp(-before) * -torch.expm1(-thickness)


def interpolate(grid: Tensor, points: Tensor) -> Tensor:
    """Return a grid's values (N, c) at points (N, 3), trilinear; zero outside [-1, 1]^3.

    ``grid`` (G, G, G, c) has its outer nodes on the cube's faces.
    """
    resolution = grid.shape[0]
    if resolution <= DENSE_LIMIT:
        return hats(points, resolution) @ grid.reshape(resolution**3, -1)
    flat, values = grid.reshape(resolution**3, -1), torch.zeros((), dtype=grid.dtype, device=grid.device)
    for node, weight in corners(points, resolution):
        values = values + weight[:, None] * flat[node]
    return values


def corners(points: Tensor, resolution: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the eight nodes (N,) around points (N, 3) and their weights (N,), 0 outside [-1, 1]^3."""
    inside = (points.abs() <= 1).all(1)
    scaled = (points.clamp(-1, 1) + 1) / 2 * (resolution - 1)
    low = scaled.floor().clamp(max=resolution - 2)
    share, (x, y, z) = scaled - low, low.long().unbind(1)
    for i, j, k in itertools.product((0, 1), repeat=3):
        factors = [share[:, axis] if up else 1 - share[:, axis] for axis, up in enumerate((i, j, k))]
        node = ((x + i) * resolution + y + j) * resolution + z + k
        yield node, factors[0] * factors[1] * factors[2] * inside


def hats(points: Tensor, resolution: int) -> Tensor:
    """Return the weights (N, G^3) of a grid's nodes at points (N, 3): products of hat functions."""
    scaled = (points + 1) / 2 * (resolution - 1)
    nodes = torch.arange(resolution, device=points.device)
    x, y, z = (1 - (scaled[..., None] - nodes).abs()).clamp(min=0).unbind(1)
    inside = (points.abs() <= 1).all(1, keepdim=True)
    product = x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]
    return product.reshape(-1, resolution**3) * inside


class RecomputedRays(torch.autograd.Function):
    """A call of ``function(params, rays)`` whose derivatives recompute it from its arguments.

    Memory is needed for one chunk of rays at a time. Unlike ``torch.utils.checkpoint`` this works under
    ``torch.func``.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(function: Callable[[Tensor, Tensor], Tensor], params: Tensor, rays: Tensor) -> Tensor:
        """Return the values."""
        return function(params, rays)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Save the arguments."""
        ctx.function, params, rays = inputs
        ctx.save_for_backward(params, rays)
        ctx.save_for_forward(params, rays)

    @staticmethod
    def backward(ctx: Any, *covectors: Tensor) -> tuple[None, Tensor, None]:
        """Return J^T r."""
        params, rays = ctx.saved_tensors
        pulled = torch.func.vjp(lambda p: ctx.function(p, rays), params)[1]
        return None, pulled(covectors[0])[0], None

    @staticmethod
    def jvp(ctx: Any, _: None, direction: Tensor, __: Any) -> Tensor:
        """Return J d."""
        params, rays = ctx.saved_tensors
        return torch.func.jvp(lambda p: ctx.function(p, rays), (params,), (direction,))[1]
