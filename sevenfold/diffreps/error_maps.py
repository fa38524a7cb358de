"""A prior's own mean squared denoising error, value by value: how far an image is known at a noise level."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sevenfold.diffreps.priors.base import UNCONDITIONAL, Condition, ExactPrior, Prior
from sevenfold.seeding import torch_generator

DRAWS, LEVELS = 800, 36


@dataclass(frozen=True)
class ErrorMap:
    """mmse_i(sigma) = E (x0_i - D_i(x0 + sigma e, sigma))^2 of every value i of an image.

    ``sigmas`` (L,) rise, ``errors`` (L, C, H, W) are the squared errors at them.

    Example:
        >>> levels = torch.tensor([0.1, 10.0])
        >>> errors = ErrorMap(levels, torch.tensor([0.01, 1.0]).view(2, 1, 1, 1))
        >>> round(float(errors.at(1.0)), 6)
        0.1
    """

    sigmas: Tensor
    errors: Tensor

    def at(self, sigma: float) -> Tensor:
        """Return the errors (C, H, W) at a level: linear in logarithms, constant above the highest level.

        Below the lowest they fall with sigma squared, as every denoiser's do where noise is far below detail.
        """
        logs = self.sigmas.double().log().cpu()
        place = torch.tensor(sigma, dtype=torch.float64).log()
        right = int(torch.searchsorted(logs, place).clamp(1, len(logs) - 1))
        share = float((place - logs[right - 1]) / (logs[right] - logs[right - 1]))
        shrunk = min(1.0, float((place - logs[0]).exp()) ** 2)
        low, high = self.errors[right - 1].log(), self.errors[right].log()
        return (low + (high - low) * min(max(share, 0.0), 1.0)).exp() * shrunk


def measured(prior: Prior, images: Tensor, sigmas: Tensor, labels: Tensor | None = None) -> ErrorMap:
    """Measure the errors of a prior's denoiser on images (N, C, H, W) of its domain.

    ``labels`` (N,) are their classes; without them the unconditional denoiser is measured.

    Example:
        >>> from sevenfold.diffreps.priors.points import points
        >>> measured(points(), torch.zeros(4, 2, 1, 1), torch.tensor([0.1, 1.0])).errors.shape
        torch.Size([2, 2, 1, 1])
    """
    generator = torch_generator(0, "error map")
    none = torch.full((len(images),), UNCONDITIONAL, device=images.device)
    condition = Condition(none if labels is None else labels)
    errors = []
    with torch.no_grad():
        for sigma in sigmas:
            noise = torch.randn(images.shape, generator=generator).to(images)
            level = sigma.to(images).expand(len(images))
            # mmse_i(sigma) = E (x0_i - E[x0_i | x0 + sigma e])^2   (Guo, Shamai & Verdu 2005)
            denoised = prior.at(images, noise, level, condition)
            errors.append((images - denoised).square().mean(0))
    tiny = torch.finfo(images.dtype).tiny  # a value that never varies has no error, and no logarithm
    return ErrorMap(sigmas, torch.stack(errors).clamp(min=tiny))


def error_map(prior: Prior, low: float, high: float) -> ErrorMap | None:
    """Return the map of a prior: its given one, or that of samples of an exact prior; otherwise None.

    The levels of a measured one are ``LEVELS`` between ``low`` and ``high``.

    Example:
        >>> from sevenfold.diffreps.priors.points import points
        >>> error_map(points(), 0.01, 10.0).errors.shape
        torch.Size([36, 2, 1, 1])
    """
    if prior.error_map is not None or not isinstance(prior, ExactPrior):
        return prior.error_map
    images = prior.sample(DRAWS, torch_generator(0, "error map images"))
    ends = torch.tensor([low, high], dtype=torch.float64).log()
    return measured(prior, images, torch.linspace(float(ends[0]), float(ends[1]), LEVELS).double().exp())
