"""Mixtures of Gaussians: exact denoiser, score and density at every noise level."""

import math

import torch
from torch import Tensor

from sevenfold.diffreps.priors.base import Condition, ExactPrior
from sevenfold.errors import InputError


class Mixture(ExactPrior):
    """A mixture of K Gaussians over images of ``shape``.

    Args:
        means: (K, n), n the number of values of an image.
        covariances: (K, n, n), or (K, n) if diagonal.
        weights: (K,), summing to one.
        shape: (C, H, W).
        labels: (K,) the class of each component, or None.
    """

    means: Tensor
    variances: Tensor
    bases: Tensor | None
    log_weights: Tensor
    labels: Tensor

    def __init__(
        self,
        means: Tensor,
        covariances: Tensor,
        weights: Tensor,
        *,
        shape: tuple[int, int, int],
        labels: Tensor | None = None,
    ) -> None:
        super().__init__()
        if means.shape[1] != math.prod(shape):
            raise InputError(f"means of {means.shape[1]} values do not fit images of shape {shape}")
        self.shape = shape
        self.classes = 0 if labels is None else int(labels.max()) + 1
        bases = None
        variances = covariances
        if covariances.ndim == 3:
            variances, bases = torch.linalg.eigh(covariances)
        if float(variances.min()) < -1e-9 * float(variances.max()):
            raise InputError("a covariance has negative eigenvalues")
        self.register_buffer("means", means)
        self.register_buffer("variances", variances.clamp(min=0))
        self.register_buffer("bases", bases)
        self.register_buffer("log_weights", weights.log())
        self.register_buffer("labels", torch.full((len(means),), -1) if labels is None else labels)

    def denoise(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return the posterior mean: the mean of each component given z, weighted by its posterior."""
        # D(z, sigma) = sum_k pi_k(z) (m_k + S_k (S_k + sigma^2 I)^-1 (z - m_k)), in the eigenbasis of S_k;
        # D = z + sigma^2 grad log p_sigma(z)   (Efron 2011, Tweedie's formula)
        inner, total = self._coordinates(z, sigma)
        posterior = self._joint(inner, total, condition.labels).softmax(1)  # (N, K)
        shrunk = posterior[..., None] * (self.variances / total) * inner
        shrunk = shrunk.sum(1) if self.bases is None else torch.einsum("nke,kde->nd", shrunk, self.bases)
        return (posterior @ self.means + shrunk).reshape(z.shape)

    def log_prob(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return the log-density (N,)."""
        inner, total = self._coordinates(z, sigma)
        return self._joint(inner, total, condition.labels).logsumexp(1)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw clean images."""
        which = torch.multinomial(self.log_weights.exp(), count, replacement=True, generator=generator)
        normal = torch.randn(count, self.means.shape[1], generator=generator, dtype=self.means.dtype)
        inner = normal * self.variances[which].sqrt()
        if self.bases is not None:
            inner = torch.einsum("nde,ne->nd", self.bases[which], inner)
        return (self.means[which] + inner).reshape(count, *self.shape)

    def expectation(self, condition: Condition) -> Tensor:
        """Return the mean of the components of each class."""
        share = self.log_weights.masked_fill(self._others(condition.labels), -math.inf).softmax(1)
        return (share @ self.means).reshape(-1, *self.shape)

    def mean(self) -> Tensor:
        """Return the mean image."""
        return (self.log_weights.exp() @ self.means).reshape(self.shape)

    def _coordinates(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return each component's principal coordinates (N, K, n) of ``z`` and their variances."""
        flat = z.flatten(1)
        if self.bases is None:
            inner = flat[:, None] - self.means
        else:
            center = torch.einsum("kd,kde->ke", self.means, self.bases)
            inner = torch.einsum("nd,kde->nke", flat, self.bases) - center
        return inner, self.variances + sigma.to(flat)[:, None, None] ** 2

    def _others(self, labels: Tensor) -> Tensor:
        """Return which components (N, K) are of other classes than requested."""
        classes = labels.to(self.labels)[:, None]
        return (classes >= 0) & (classes != self.labels)

    def _joint(self, inner: Tensor, total: Tensor, labels: Tensor) -> Tensor:
        """Return log(weight times density) of every component, (N, K); -inf for those of other classes."""
        distance = (inner**2 / total + (2 * math.pi * total).log()).sum(2)
        others = self._others(labels)
        conditional = (self.log_weights - distance / 2).masked_fill(others, -math.inf)
        share = self.log_weights.expand(len(inner), -1).masked_fill(others, -math.inf)
        return conditional - share.logsumexp(1, keepdim=True)
