"""Classifier-free guidance, and bounds on the values of denoised images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.priors.base import Condition, Prior, spread
from sevenfold.ranges import Finite, PositiveShare, Share


@dataclass(frozen=True)
class Guidance:
    """Options that modify denoised images.

    Args:
        weight: w of D_0 + w (D_c - D_0): 1 is conditional, 0 unconditional (``guidance_scale`` elsewhere).
        rescale: share by which the guided image's standard deviation is set back to the conditional's.
        clip: whether images are clipped to the prior's range.
        dynamic: quantile of |D| beyond which an image is scaled into a symmetric range (dynamic
            thresholding); null: off.
    """

    weight: Finite = 1.0
    rescale: Share = 0.0
    clip: bool = False
    dynamic: PositiveShare | None = None

    def check(self, prior: Prior) -> None:
        """Raise ``ConfigError`` for bounds on a prior without a range, and weights on one that has no D_0."""
        for name in ("clip", "dynamic"):
            if prior.range is None and getattr(self, name):
                raise ConfigError(f"guidance.{name}", "the prior has no range of values to clip to")
        if prior.classes and not prior.unconditional and self.weight != 1:
            raise ConfigError(
                "guidance.weight",
                f"{self.weight:g} needs images without a class, which the prior's network was not trained on "
                "(its 'null_label' is null); use 1",
            )

    @property
    def passes(self) -> int:
        """Return the number of evaluations of the prior for one denoised image of a class."""
        return 1 if self.weight == 1 else 2

    def denoise(self, prior: Prior, y: Tensor, e: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return the guided image of clean part ``y`` and noise ``e`` (N, C, H, W) at ``sigma`` (N,)."""
        with torch.no_grad():
            image = prior.at(y, e, sigma, condition)
            if self.weight != 1 and bool((condition.labels >= 0).any()):
                image = self._guide(image, prior.at(y, e, sigma, condition.without_labels()))
            if self.dynamic is not None:
                image = self._threshold_dynamically(image, prior)
            if self.clip and prior.range is not None:
                image = image.clamp(*prior.range)
            return image

    def _guide(self, conditional: Tensor, unconditional: Tensor) -> Tensor:
        # D_w = D_0 + w (D_c - D_0)   (Ho & Salimans 2022, whose weight is w - 1)
        guided = unconditional + self.weight * (conditional - unconditional)
        # std(D_w) is moved by the share ``rescale`` towards std(D_c)   (Lin et al. 2024)
        if self.rescale:
            target_std, guided_std = (v.flatten(1).std(1).clamp(min=1e-12) for v in (conditional, guided))
            guided = guided * (1 + self.rescale * (spread(target_std / guided_std, guided) - 1))
        return guided

    def _threshold_dynamically(self, image: Tensor, prior: Prior) -> Tensor:
        low, high = prior.range or (-1.0, 1.0)
        middle, half = (low + high) / 2, (high - low) / 2
        centered = (image - middle) / half
        # dynamic thresholding: clip to [-s, s] and divide by s, s a quantile of |x0|   (Saharia et al. 2022)
        bound = centered.abs().flatten(1).quantile(self.dynamic or 1.0, dim=1).clamp(min=1)
        bound = spread(bound, image)
        return middle + half * centered.clamp(-bound, bound) / bound
