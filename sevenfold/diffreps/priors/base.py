"""The interface of priors: a denoiser in sigma space, with shape, range and classes of its images."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sevenfold.diffreps.noise_table import NoiseTable
from sevenfold.errors import InputError

if TYPE_CHECKING:
    from sevenfold.diffreps.error_maps import ErrorMap

UNCONDITIONAL = -1


@dataclass(frozen=True)
class Condition:
    """The condition of a batch of N images.

    ``labels``: (N,) classes, -1 for none. ``views``: (N, d), the camera of each image, as its representation
    describes views; None where views do not matter. ``group``: number of consecutive images of one sample.
    """

    labels: Tensor
    views: Tensor | None = None
    group: int = 1

    def without_labels(self) -> "Condition":
        """Return the same condition without classes."""
        return Condition(torch.full_like(self.labels, UNCONDITIONAL), self.views, self.group)


class Prior(nn.Module, ABC):
    """A distribution of images, defined by its denoiser.

    Attributes:
        shape: (C, H, W) of an image.
        range: lowest and highest value of data, or None.
        classes: number of classes; 0 for none.
        unconditional: whether it knows images without a class.
        sigma_min, sigma_max: lowest and highest noise level; infinite where nothing of the image is left.
        noise_table: of a model trained at discrete times, else None.
        error_map: its squared denoising errors, where they have been measured.
    """

    shape: tuple[int, int, int]
    range: tuple[float, float] | None = None
    classes: int = 0
    unconditional: bool = True
    sigma_min: float = 0.02
    sigma_max: float = 20.0
    noise_table: NoiseTable | None = None
    error_map: "ErrorMap | None" = None

    @abstractmethod
    def denoise(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return E[x0 | x0 + sigma e = z] for images ``z`` (N, C, H, W) at noise ``sigma`` (N,) > 0."""

    def at(self, y: Tensor, e: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return denoised images of clean parts ``y`` and noise ``e`` (N, C, H, W) at levels ``sigma`` (N,).

        Levels may be infinite. Every method calls this; networks compute their own input a y + s e, so that
        y + sigma e, in which a large level drowns the clean part, is never formed.
        """
        infinite = sigma.isinf()
        if not bool(infinite.any()):
            return self.denoise(y + spread(sigma, e) * e, sigma, condition)
        # E[x0 | z] tends to E[x0] as sigma grows; what lies at finite levels is denoised as usual
        finite = sigma.masked_fill(infinite, 1.0)
        images = self.denoise(y + spread(finite, e) * e, finite, condition)
        return torch.where(spread(infinite, images).bool(), self.expectation(condition).to(images), images)

    def expectation(self, condition: Condition) -> Tensor:
        """Return E[x0] (N, C, H, W) of requested classes, the denoised image at infinite noise."""
        raise InputError(
            f"{type(self).__name__} does not know its mean image, so no level can be infinite; "
            "give the schedule a finite 'sigma_max'"
        )

    def mean(self) -> Tensor:
        """Return the mean image (C, H, W), or the middle of the range, from which sampling starts."""
        return torch.full(self.shape, sum(self.range) / 2 if self.range else 0.0)

    @property
    def std(self) -> float:
        """A rough standard deviation of the data: a quarter of the range's width; 1 without a range."""
        return (self.range[1] - self.range[0]) / 4 if self.range else 1.0


class ExactPrior(Prior):
    """A prior whose density and samples are known exactly, at every noise level."""

    @abstractmethod
    def log_prob(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return the log-density (N,) of images of noise level ``sigma`` (N,) >= 0."""

    @abstractmethod
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw clean images (count, C, H, W)."""


def spread(sigma: Tensor, like: Tensor) -> Tensor:
    """Return ``sigma`` (N,) with as many dimensions as ``like``, so that it multiplies images."""
    return sigma.to(like).reshape(-1, *[1] * (like.ndim - 1))
