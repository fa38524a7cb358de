"""Layers of many small networks at once: network m owns row m of every parameter and of every map.

Maps have shape (M, channels, 16, B): 4x4 pixels in rows, and images innermost. A 3x3 convolution is then six
batched matrix products without a copy per filter tap, and a batch statistic runs over contiguous memory.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 4
EPS = 1e-5
MOMENTUM = 0.1


@cache
def _places(outs: int, ins: int) -> Tensor:
    """Return which filter weight stands where in the matrices of :func:`_matrices`, (3, outs * 4 * ins * 4).

    The number after the last weight stands for zero.
    """
    out, row, into, source = torch.meshgrid(
        *(torch.arange(n) for n in (outs, SIDE, ins, SIDE)), indexing="ij"
    )
    tap = source - row + 1
    weight = ((out * ins + into) * 3 + tap) * 3 + torch.arange(3).view(3, 1, 1, 1, 1)
    return weight.where((tap >= 0) & (tap <= 2), outs * ins * 9).view(3, -1)


def _matrices(weight: Tensor) -> list[Tensor]:
    """Turn filters (M, out, in, 3, 3) into three matrices (M, out * 4, in * 4): one a column of taps.

    Each applies its column of the filter to all rows of the map at once, zero padding included.
    """
    m, outs, ins = weight.shape[:3]
    padded = F.pad(weight.reshape(m, -1), (0, 1))
    places = _places(outs, ins).to(weight.device)
    return [padded.index_select(1, place).view(m, outs * SIDE, ins * SIDE) for place in places]


def _shifts(maps: Tensor) -> list[Tensor]:
    """Return three views (M, channels * 4, 4 * B) of maps: moved right by a column, in place, moved left."""
    m, channels, _, b = maps.shape
    padded = F.pad(maps.reshape(m, channels * SIDE, SIDE * b), (b, b))
    return [padded[:, :, k * b : (k + SIDE) * b] for k in range(3)]


def _sum_of_products(left: list[Tensor], right: list[Tensor]) -> Tensor:
    total = torch.bmm(left[0], right[0])
    for a, b in zip(left[1:], right[1:], strict=True):
        total.baddbmm_(a, b)
    return total


class Convolve(torch.autograd.Function):
    """3x3 convolution with zero padding: maps (M, in, 16, B), weight (M, out, in, 3, 3)."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor) -> Tensor:
        """Return maps (M, out, 16, B)."""
        ctx.save_for_backward(maps, weight)
        m, _, pixels, b = maps.shape
        return _sum_of_products(_matrices(weight), _shifts(maps)).view(m, weight.shape[1], pixels, b)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of maps and weight."""
        maps, weight = ctx.saved_tensors
        grad = grads[0]
        m, outs, ins = weight.shape[:3]
        transposed = [matrix.transpose(1, 2) for matrix in _matrices(weight)]
        to_maps = _sum_of_products(transposed, _shifts(grad)[::-1]).view(maps.shape)
        flat = grad.reshape(m, outs * SIDE, -1)
        to_weight = weight.new_zeros(m, outs * ins * 9 + 1)
        for place, shift in zip(_places(outs, ins).to(grad.device), _shifts(maps), strict=True):
            to_weight.index_add_(1, place, torch.bmm(flat, shift.transpose(1, 2)).view(m, -1))
        return to_maps, to_weight[:, :-1].reshape(weight.shape)


class Standardize(torch.autograd.Function):
    """Batch normalization by the batch's own statistics: maps (M, C, N), gain and bias (M, C).

    One pass fewer than the library's over each of forward and backward, and a variance of centered values.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the normalized maps, the means and the (biased) variances."""
        mean = maps.mean(2)
        centered = maps - mean[:, :, None]
        variance = torch.linalg.vecdot(centered, centered) / maps.shape[2]
        inverse = (variance + EPS).rsqrt()
        ctx.save_for_backward(centered, gain, inverse)
        ctx.mark_non_differentiable(mean, variance)
        return torch.addcmul(bias[:, :, None], centered, (gain * inverse)[:, :, None]), mean, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of maps, gain and bias."""
        centered, gain, inverse = ctx.saved_tensors
        grad, n = grads[0], centered.shape[2]
        to_bias = grad.sum(2)
        to_gain = torch.linalg.vecdot(grad, centered) * inverse
        scale = gain * inverse
        to_maps = torch.addcmul((scale * to_bias / -n)[:, :, None], grad, scale[:, :, None])
        to_maps.addcmul_(centered, (scale * inverse * to_gain / -n)[:, :, None])
        return to_maps, to_gain, to_bias


class Norm(nn.Module):
    """Batch normalization of maps (M, C, 16, B) for each network by itself, with running statistics."""

    def __init__(self, networks: int, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(networks, channels))
        self.bias = nn.Parameter(torch.zeros(networks, channels))
        self.register_buffer("mean", torch.zeros(networks, channels))
        self.register_buffer("variance", torch.ones(networks, channels))
        self.mean: Tensor
        self.variance: Tensor

    def forward(self, maps: Tensor) -> Tensor:
        """Normalize by the batch while training (and keep its statistics), else by what was kept."""
        flat = maps.flatten(2)
        if self.training:
            out, mean, variance = Standardize.apply(flat, self.gain, self.bias)
            n = flat.shape[2]
            self.mean.lerp_(mean, MOMENTUM)
            self.variance.lerp_(variance * (n / (n - 1)), MOMENTUM)
        else:
            scale = self.gain * (self.variance + EPS).rsqrt()
            out = torch.addcmul((self.bias - self.mean * scale)[:, :, None], flat, scale[:, :, None])
        return out.view(maps.shape)


class Convolution(nn.Module):
    """1x1 or 3x3 convolution and batch normalization, each network with its own weights (M, out, in[, 3, 3])."""

    def __init__(self, networks: int, ins: int, outs: int, *, size: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(networks, outs, ins, *((3, 3) if size == 3 else ())))
        self.norm = Norm(networks, outs)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (M, in, 16, B) to (M, out, 16, B)."""
        if self.weight.dim() == 5:
            return self.norm(Convolve.apply(maps, self.weight))
        m, _, pixels, b = maps.shape
        return self.norm(torch.bmm(self.weight, maps.flatten(2)).view(m, -1, pixels, b))


@cache
def _pooling(dtype: torch.dtype) -> Tensor:
    """Return the 16x16 matrix of 3x3 average pooling that leaves padding out of the count."""
    unit = torch.eye(SIDE * SIDE, dtype=dtype).view(1, -1, SIDE, SIDE)
    pooled = F.avg_pool2d(unit, 3, stride=1, padding=1, count_include_pad=False)
    return pooled.view(SIDE * SIDE, -1).T.contiguous()


def pool(maps: Tensor) -> Tensor:
    """Average 3x3 neighborhoods of maps (M, C, 16, B)."""
    m, c, pixels, b = maps.shape
    matrix = _pooling(maps.dtype).to(maps.device).expand(m * c, pixels, pixels)
    return torch.bmm(matrix, maps.reshape(m * c, pixels, b)).view(maps.shape)
