"""Kernel density estimate of a data set as a prior, with its exact denoiser and without training."""

import math

import torch
from torch import Tensor

from sevenfold.config import build
from sevenfold.diffreps import SOURCES
from sevenfold.diffreps.nodes import ImagesNode
from sevenfold.diffreps.priors.base import UNCONDITIONAL, Condition, ExactPrior
from sevenfold.ranges import Scale


class KernelDensity(ExactPrior):
    """A mixture of Gaussians of one width, one at every image of a data set.

    Args:
        points: (M, C, H, W).
        width: standard deviation of each.
        labels: (M,) classes, or None.
    """

    points: Tensor
    labels: Tensor

    def __init__(self, points: Tensor, width: float, labels: Tensor | None = None) -> None:
        super().__init__()
        channels, height, breadth = points.shape[1:]
        self.shape, self.width = (channels, height, breadth), width
        self.classes = 0 if labels is None else int(labels.max()) + 1
        self.register_buffer("points", points.flatten(1))
        self.register_buffer(
            "labels", torch.full((len(points),), UNCONDITIONAL) if labels is None else labels
        )

    def denoise(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return the posterior mean: points weighted by their posterior, shrunk towards ``z``."""
        # D(z, sigma) = m + w^2 / (w^2 + sigma^2) (z - m), m the mean of the x_i with weights proportional to
        # exp(-|z - x_i|^2 / (2 (w^2 + sigma^2))); for w = 0 the ideal denoiser of Karras et al. 2022 (B.3)
        total = (self.width**2 + sigma.to(z) ** 2)[:, None]
        nearest = self._logits(z, total, condition.labels).softmax(1) @ self.points
        return (nearest + self.width**2 / total * (z.flatten(1) - nearest)).reshape(z.shape)

    def log_prob(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return the log-density (N,)."""
        total = (self.width**2 + sigma.to(z) ** 2)[:, None]
        logits = self._logits(z, total, condition.labels)
        size = self.points.shape[1]
        counted = logits.isfinite().sum(1).log()
        return logits.logsumexp(1) - counted - size / 2 * (2 * math.pi * total[:, 0]).log()

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw clean images."""
        which = torch.randint(len(self.points), (count,), generator=generator)
        normal = torch.randn(count, self.points.shape[1], generator=generator, dtype=self.points.dtype)
        return (self.points[which] + self.width * normal).reshape(count, *self.shape)

    def expectation(self, condition: Condition) -> Tensor:
        """Return the mean of the points of each class."""
        members = (~self._others(condition.labels)).to(self.points)
        return (members @ self.points / members.sum(1, keepdim=True)).reshape(-1, *self.shape)

    def mean(self) -> Tensor:
        """Return the mean image."""
        return self.points.mean(0).reshape(self.shape)

    def _logits(self, z: Tensor, total: Tensor, labels: Tensor) -> Tensor:
        """Return -|z - x|^2 / (2 total) for every point, (N, M); other classes' are -inf."""
        flat = z.flatten(1)
        square = flat.square().sum(1)[:, None] + self.points.square().sum(1) - 2 * flat @ self.points.T
        return (-square / (2 * total)).masked_fill(self._others(labels), -math.inf)

    def _others(self, labels: Tensor) -> Tensor:
        """Return which points (N, M) are of other classes than requested."""
        classes = labels.to(self.labels)[:, None]
        return (classes >= 0) & (classes != self.labels)


def kde(*, source: ImagesNode = {"name": "digits"}, width: Scale = 0.15) -> KernelDensity:  # noqa: B006
    """Return a mixture with a Gaussian at every image of a source.

    Args:
        source: the images.
        width: standard deviation of the Gaussian at each of them.
    """
    images = build(SOURCES, source, "source")
    prior = KernelDensity(images.images, width, images.labels)
    prior.range = images.range
    return prior
