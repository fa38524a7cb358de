"""One token a curve: what a prior-fitted network sees, the same for y and a y + b, a > 0."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

PLACES = 16
FEATURES = 12 + 3 * PLACES
BARS, REACH = 128, 5.0
WIDTH = 2 * REACH / BARS


class Tokens(NamedTuple):
    """Features (B, N, 60), and the unit of targets: center m and scale s, (B, 1)."""

    features: Tensor
    center: Tensor
    scale: Tensor

    def targets(self, y: Tensor) -> Tensor:
        """Return u = asinh((y - m) / s) within [-5, 5]."""
        return torch.asinh((y - self.center) / self.scale).clamp(-REACH, REACH)


def masked_median(x: Tensor, mask: Tensor) -> Tensor:
    """Return medians over the last axis of what ``mask`` selects, (..., 1); something must be.

    >>> masked_median(torch.tensor([[3.0, 1.0, 9.0, 2.0]]), torch.tensor([[True, True, False, True]]))
    tensor([[2.]])
    """
    ordered = torch.where(mask, x, math.inf).sort(-1).values
    count = mask.expand_as(x).sum(-1, keepdim=True)
    return (ordered.gather(-1, (count - 1) // 2) + ordered.gather(-1, count // 2)) / 2


def tokens(values: Tensor, cuts: Tensor, horizons: Tensor, epochs: Tensor, present: Tensor) -> Tokens:
    """Return the tokens of curves; all present curves of a task give its center and scale together.

    Args:
        values: curves (B, N, T); epochs after a curve's cut have no influence.
        cuts: epochs seen (B, N), from 1.
        horizons: epochs to predict (B, N), after the cuts.
        epochs: lengths of the schedules (B,).
        present: which curves there are (B, N), at least one a task.

    >>> y = torch.tensor([[[0.1, 0.2, 0.3], [0.2, 0.3, 0.5]]])
    >>> two, three = torch.full((1, 2), 2), torch.full((1, 2), 3)
    >>> made = tokens(y, two, three, torch.tensor([3.0]), torch.ones(1, 2, dtype=torch.bool))
    >>> tuple(made.features.shape)
    (1, 2, 60)
    """
    e = torch.arange(1, values.shape[2] + 1, device=values.device)
    c = cuts[..., None]
    seen = e <= c
    y = torch.where(seen, values, 0.0)
    last = values.gather(2, c - 1)
    here = present[..., None]
    top = torch.where(seen & here, values, -math.inf).amax((1, 2))[:, None]
    low = torch.where(seen & here, values, math.inf).amin((1, 2))[:, None]
    span = torch.where(top > low, top - low, 1.0)  # equal values have no unit: any will do
    late = seen & (e > c / 2)
    steps = torch.diff(y, dim=2) ** 2 * (late[..., 1:] & seen[..., :-1])
    pairs = (late[..., 1:] & seen[..., :-1]).sum(2)
    # noise^2: half the mean squared difference, for white noise its variance (von Neumann 1941).
    noise = (steps.sum(2) / (2 * pairs.clamp(min=1))).sqrt()
    center = masked_median(last[..., 0], present)
    spread = 1.4826 * masked_median((last[..., 0] - center).abs(), present)
    scale = (spread**2 + masked_median(noise, present) ** 2 + (0.001 * span) ** 2).sqrt()

    def unit(v: Tensor) -> Tensor:
        return torch.asinh((v - center[..., None]) / scale[..., None])

    means = [_mean(y, seen & (e > c - 5)), torch.where(seen, values, -math.inf).amax(2, keepdim=True), last]
    means += [_mean(y, seen & (e > 0.75 * c)), _mean(y, seen)]
    # Values at places ceil(k c / 16), k = 1..16; whole numbers, since float rounding would shift a place.
    k = torch.arange(1, PLACES + 1, device=values.device)
    at = values.gather(2, (k * c + PLACES - 1) // PLACES - 1)
    # Least-squares slope over the last half, as the change within as many epochs as were seen.
    away = torch.where(late, e - _mean(e.expand_as(y).to(y), late), 0.0)
    slope = c * (away * y).sum(2, keepdim=True) / (away**2).sum(2, keepdim=True).clamp(min=0.5)
    end, s = epochs[:, None], scale
    scalars = [cuts / end, horizons / end, cuts.log() / 5, (horizons - cuts).log() / 5]
    scalars += [torch.asinh(slope[..., 0] / s), (noise / s).clamp(min=1e-3).log()]
    scalars += [(s / span).log().expand_as(noise)]
    blocks = [torch.stack(scalars, 2), *map(unit, means), unit(at)]
    blocks += [torch.asinh((at - last) / s[..., None]), (at - low[..., None]) / span[..., None]]
    return Tokens(torch.cat(blocks, 2), center, scale)


def _mean(y: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, y, 0.0).sum(2, keepdim=True) / mask.sum(2, keepdim=True)
