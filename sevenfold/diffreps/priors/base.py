"""The interface of priors: a denoiser in sigma space, with shape, range and classes of its images."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sevenfold.diffreps.noise_table import NoiseTable

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
        sigma_min, sigma_max: lowest and highest noise level.
        noise_table: of a model trained at discrete times, else None.
        error_map: its squared denoising errors, where they have been measured.
    """

    shape: tuple[int, int, int]
    range: tuple[float, float] | None = None
    classes: int = 0
    sigma_min: float = 0.02
    sigma_max: float = 20.0
    noise_table: NoiseTable | None = None
    error_map: "ErrorMap | None" = None

    @abstractmethod
    def denoise(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return E[x0 | x0 + sigma e = z] for images ``z`` (N, C, H, W) at noise ``sigma`` (N,) > 0."""

    def mean(self) -> Tensor:
        """Return the mean image (C, H, W), or the middle of the range, from which sampling starts."""
        return torch.full(self.shape, sum(self.range) / 2 if self.range else 0.0)


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
