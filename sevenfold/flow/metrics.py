"""Measures of flow fields, with sums and counts that are exact over batches and processes.

Every measure takes ``update(pred, target, valid)`` with flow (B, 2, H, W) in pixels and validity bool (B,
H, W) (default: all pixels). Pixels outside ``valid`` may hold anything, NaN too. Where nothing at all was
valid the result is NaN. A reference such as zero flow is just another ``pred``. Conventions per benchmark:
Sintel pools all pixels; FlyingChairs pools valid pixels; KITTI averages the end-point error image by image
and pools F1-all over pixels.
"""

from abc import abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric


def end_point_error(pred: Tensor, target: Tensor) -> Tensor:
    """Return the distance between two flow fields (..., 2, H, W) at each pixel, (..., H, W), in pixels."""
    return torch.linalg.vector_norm(pred - target, dim=-3)


class MaskedMean(Metric):
    """Base of measures that are a mean over pixels: a subclass says what is averaged.

    Sums are float64 and counts int64, so that neither batch size nor the number of processes matters.
    """

    higher_is_better: bool | None = False
    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", default=torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, pred: Tensor, target: Tensor, valid: Tensor | None = None) -> None:
        """Add a batch: flow (B, 2, H, W), twice, and validity (B, H, W)."""
        if pred.shape != target.shape or pred.ndim != 4 or pred.shape[1] != 2:
            raise ValueError(
                f"prediction and truth are (B, 2, H, W), got {tuple(pred.shape)} and {tuple(target.shape)}"
            )
        if valid is None:
            valid = torch.ones_like(target[:, 0], dtype=torch.bool)
        if valid.shape != target[:, 0].shape:
            raise ValueError(f"validity must be {tuple(target[:, 0].shape)}, got {tuple(valid.shape)}")
        target = target.detach().double()
        error = end_point_error(pred.detach().double(), target)
        speed = torch.linalg.vector_norm(target, dim=1)
        # Sums and counts, not means, are exchanged between processes: a mean of means would weight batches.
        total, count = self.terms(error, speed, valid.bool())
        self.total = self.total.double() + total  # also where a precision plug-in has cast the state
        self.count = self.count + count

    @abstractmethod
    def terms(self, error: Tensor, speed: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum and the count to add, from (B, H, W) error and true speed in px and validity."""

    def compute(self) -> Tensor:
        """Return the mean so far, a float64 scalar; NaN if nothing was valid."""
        return self.total / self.count


class EndPointError(MaskedMean):
    """Mean end-point error in pixels, |flow - truth| per pixel (Baker et al. 2011).

    ``average``: "pixels" pools valid pixels of all images (Sintel, FlyingChairs); "images" averages the
    images' own means, skipping images without a valid pixel (KITTI). ``speed`` restricts it to pixels whose
    true speed is in [low, high) px, e.g. Sintel's s0-10, s10-40 and s40+.

    Example:
        >>> import torch
        >>> error = EndPointError()
        >>> flow, valid = torch.ones(1, 2, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool)
        >>> error.update(flow, torch.zeros(1, 2, 4, 4), valid)
        >>> round(float(error.compute()), 3)
        1.414
    """

    def __init__(
        self,
        *,
        average: Literal["pixels", "images"] = "pixels",
        speed: tuple[float, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if average not in ("pixels", "images"):
            raise ValueError(f"average must be 'pixels' or 'images', got '{average}'")
        self.average, self.speed = average, speed

    def terms(self, error: Tensor, speed: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Sum the errors, pixel by pixel or image by image."""
        if self.speed is not None:
            valid = valid & (speed >= self.speed[0]) & (speed < self.speed[1])
        sums = torch.where(valid, error, 0.0).sum(dim=(1, 2))
        counts = valid.sum(dim=(1, 2))
        if self.average == "pixels":
            return sums.sum(), counts.sum()
        return (sums / counts.clamp(min=1)).sum(), (counts > 0).sum()


class WithinPixels(MaskedMean):
    """Percentage of valid pixels whose end-point error is below ``threshold`` px (strictly)."""

    higher_is_better = True

    def __init__(self, *, threshold: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.threshold = threshold

    def terms(self, error: Tensor, speed: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Count the pixels below the threshold."""
        return 100.0 * ((error < self.threshold) & valid).sum().double(), valid.sum()


class FlAll(MaskedMean):
    """KITTI's F1-all: percentage of valid pixels with an error above 3 px and above 5 % of the true speed.

    Where the true speed is zero any error above 3 px counts; so does an error that is NaN.
    """

    def terms(self, error: Tensor, speed: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Count the outliers."""
        inlier = (error <= 3.0) | (error <= 0.05 * speed)
        return 100.0 * (~inlier & valid).sum().double(), valid.sum()
