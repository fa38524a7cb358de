"""Layers of many small networks at once: network m owns row m of every weight and of every map.

Maps have shape (M, channels, 16, B): 4x4 pixels in rows, and images innermost. A 3x3 convolution is then
three batched matrix products without a copy per filter tap, and a batch statistic runs over contiguous
memory. Each layer is a pair of plain functions, forward and backward; :class:`Standardize` and the cell join
them to autograd.
"""

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 4
EPS = 1e-5
MOMENTUM = 0.1


@cache
def _places(channels: int) -> Tensor:
    """Return which weight of a filter stands where in the matrices of :func:`matrices`, (3, channels^2 * 16).

    The number after the last weight stands for zero.
    """
    out, row, into, source = torch.meshgrid(
        *(torch.arange(n) for n in (channels, SIDE, channels, SIDE)), indexing="ij"
    )
    # Row r of the result sees rows r - 1, r, r + 1 of the source: taps 0, 1, 2; all others are zero.
    tap = source - row + 1
    weight = ((out * channels + into) * 3 + tap) * 3 + torch.arange(3).view(3, 1, 1, 1, 1)
    return weight.where((tap >= 0) & (tap <= 2), channels * channels * 9).view(3, -1)


def matrices(weight: Tensor) -> Tensor:
    """Turn filters (n, C, C, 3, 3) into matrices (3, n, C * 4, C * 4): one for each column of taps.

    Each applies its column of the filter to all rows of the map at once, zero padding included.
    """
    n, channels = weight.shape[:2]
    padded = F.pad(weight.flatten(1), (0, 1))
    places = _places(channels).to(weight.device).flatten()
    spread = padded.index_select(1, places).view(n, 3, channels * SIDE, channels * SIDE)
    return spread.transpose(0, 1)


def _shifts(maps: Tensor) -> list[Tensor]:
    """Return three views (n, C * 4, 4 * B) of maps: moved right by a column, in place, moved left."""
    n, channels, _, b = maps.shape
    padded = F.pad(maps.reshape(n, channels * SIDE, SIDE * b), (b, b))
    return [padded[:, :, k * b : (k + SIDE) * b] for k in range(3)]


def convolve(maps: Tensor, spread: Tensor, out: Tensor) -> None:
    """Write the 3x3 convolution of maps (n, C, 16, B) with zero padding into ``out``.

    ``spread`` are the filters' :func:`matrices`; transposed and in reverse order, they take a gradient back.
    """
    shifts, flat = _shifts(maps), out.view(len(out), spread.shape[2], -1)
    torch.bmm(spread[0], shifts[0], out=flat)
    for k in (1, 2):
        flat.baddbmm_(spread[k], shifts[k])


def filter_gradient(maps: Tensor, grad: Tensor) -> Tensor:
    """Return the gradient of the filters (n, C, C, 3, 3), given that of the convolution's result."""
    n, channels = maps.shape[:2]
    flat = grad.reshape(n, channels * SIDE, -1)
    products = torch.stack([torch.bmm(flat, shift.transpose(1, 2)) for shift in _shifts(maps)], dim=1)
    total = maps.new_zeros(n, channels * channels * 9 + 1)
    # Each weight stands in several places of the matrices; its gradient is the sum over them.
    total.index_add_(1, _places(channels).to(maps.device).flatten(), products.view(n, -1))
    return total[:, :-1].reshape(n, channels, channels, 3, 3)


class Moments(NamedTuple):
    """What a batch normalization remembers of its input: mean and biased variance, (n, C) each."""

    mean: Tensor
    variance: Tensor


def standardize(maps: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Moments]:
    """Normalize maps (n, C, N) by their own mean and variance over N, then scale and shift."""
    mean = maps.mean(2)
    # E[x^2] - E[x]^2 in one pass over the maps; rounding can make it slightly negative.
    variance = (torch.linalg.vecdot(maps, maps) / maps.shape[2] - mean.square()).clamp_min_(0)
    return rescale(maps, gain, bias, Moments(mean, variance)), Moments(mean, variance)


def rescale(maps: Tensor, gain: Tensor, bias: Tensor, moments: Moments) -> Tensor:
    """Normalize maps (n, C, N) by given moments, then scale and shift."""
    scale = gain * (moments.variance + EPS).rsqrt()
    return torch.addcmul((bias - moments.mean * scale)[:, :, None], maps, scale[:, :, None])


def standardize_gradient(
    maps: Tensor, gain: Tensor, moments: Moments, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of maps, gain and bias, given that of the result of :func:`standardize`."""
    n = maps.shape[2]
    inverse = (moments.variance + EPS).rsqrt()
    to_bias = grad.sum(2)
    to_gain = (torch.linalg.vecdot(grad, maps) - moments.mean * to_bias) * inverse
    scale = gain * inverse
    # d/dx of gain (x - mean) / sqrt(var + eps), mean and variance depending on x (Ioffe, Szegedy 2015).
    slope = -scale * inverse * to_gain / n
    offset = -scale * to_bias / n - slope * moments.mean
    to_maps = torch.addcmul(offset[:, :, None], grad, scale[:, :, None])
    return to_maps.addcmul_(maps, slope[:, :, None]), to_gain, to_bias


class Standardize(torch.autograd.Function):
    """Batch normalization by the batch's own statistics: maps (n, C, N), gain and bias (n, C)."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the normalized maps, the means and the (biased) variances."""
        out, moments = standardize(maps, gain, bias)
        ctx.save_for_backward(maps, gain, *moments)
        ctx.mark_non_differentiable(*moments)
        return out, *moments

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of maps, gain and bias."""
        maps, gain, *moments = ctx.saved_tensors
        return standardize_gradient(maps, gain, Moments(*moments), grads[0])


class Norm(nn.Module):
    """Batch normalization of n stacked maps, each separately, with running statistics for evaluation."""

    def __init__(self, n: int, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(n, channels))
        self.bias = nn.Parameter(torch.zeros(n, channels))
        self.register_buffer("mean", torch.zeros(n, channels))
        self.register_buffer("variance", torch.ones(n, channels))
        self.mean: Tensor
        self.variance: Tensor

    def keep(self, moments: Moments, n: int) -> None:
        """Update the running statistics by those of a batch of ``n`` values a channel."""
        self.mean.lerp_(moments.mean, MOMENTUM)
        # Running statistics hold the unbiased variance, as PyTorch's do.
        self.variance.lerp_(moments.variance * (n / (n - 1)), MOMENTUM)

    def kept(self) -> Moments:
        """Return the running statistics."""
        return Moments(self.mean, self.variance)

    def forward(self, maps: Tensor) -> Tensor:
        """Normalize (n, C, 16, B) by the batch while training, and keep its statistics; else by these."""
        flat = maps.flatten(2)
        if not self.training:
            return rescale(flat, self.gain, self.bias, self.kept()).view(maps.shape)
        out, *moments = Standardize.apply(flat, self.gain, self.bias)
        self.keep(Moments(*moments), flat.shape[2])
        return out.view(maps.shape)


@cache
def _pooling(dtype: torch.dtype) -> Tensor:
    """Return the 16x16 matrix of 3x3 average pooling that leaves padding out of the count."""
    unit = torch.eye(SIDE * SIDE, dtype=dtype).view(1, -1, SIDE, SIDE)
    pooled = F.avg_pool2d(unit, 3, stride=1, padding=1, count_include_pad=False)
    return pooled.view(SIDE * SIDE, -1).T.contiguous()


def pool(maps: Tensor, *, backward: bool = False) -> Tensor:
    """Average 3x3 neighborhoods of maps (n, C, 16, B); or take a gradient ``backward``."""
    n, c, pixels, b = maps.shape
    matrix = _pooling(maps.dtype).to(maps.device)
    matrix = (matrix.T if backward else matrix).expand(n * c, pixels, pixels)
    return torch.bmm(matrix, maps.reshape(n * c, pixels, b)).view(maps.shape)
