"""Representations under a latent model (Rombach et al. 2022), combined with its autoencoder in three ways."""

from typing import Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError, build
from sevenfold.diffreps import REPRESENTATIONS
from sevenfold.diffreps.nodes import RepresentationNode
from sevenfold.diffreps.representations.base import Representation

Mode = Literal["latent", "decode", "encode"]


class Autoencoded(Representation):
    """Another representation, ``inner``, under a prior of latents.

    Args:
        path: the pipeline's folder, of which the autoencoder is loaded.
        inner: a component of ``REPRESENTATIONS``.
        mode: ``latent``: it renders latents, which are decoded for pictures only (cheapest).
            ``encode``: it renders images in [0, 1], and derivatives include the encoder (slow).
            ``decode``: it renders images, and the solver ``decoded`` fits them to decoded target latents, so
            that the autoencoder is not differentiated.
    """

    def __init__(self, *, path: str, inner: RepresentationNode, mode: Mode = "latent") -> None:
        from sevenfold.diffreps.priors.pipeline import load

        rendered: Representation = build(REPRESENTATIONS, inner, "inner")
        pipeline = load(path, torch.float32)
        factor, channels = pipeline.vae_scale_factor, int(pipeline.vae.config.latent_channels)
        shape = rendered.shape
        if mode != "latent":
            if shape[0] != 3 or shape[1] % factor:
                raise ConfigError(
                    "inner", f"must render 3 channels of a multiple of {factor} pixels, got {shape}"
                )
            shape = (channels, shape[1] // factor, shape[2] // factor)
        super().__init__(shape, rendered.layout)
        self.inner, self.mode = rendered, mode
        self.vae = pipeline.vae.eval().requires_grad_(False)
        # The fused attention has no vmap rule, which batches of representations need.
        from diffusers.models.attention_processor import AttnProcessor

        self.vae.set_attn_processor(AttnProcessor())
        self.scaling = float(self.vae.config.scaling_factor)
        self.shift = float(self.vae.config.get("shift_factor", None) or 0.0)
        self.affine = rendered.affine and mode == "latent"
        self.cells = rendered.cells if mode == "latent" else 0

    def initial(self, generator: torch.Generator) -> Tensor:
        """Draw the inner parameters."""
        return self.inner.initial(generator)

    def views(self, count: int, generator: torch.Generator) -> Tensor:
        """Return the inner views."""
        return self.inner.views(count, generator)

    def angles(self, views: Tensor) -> Tensor:
        """Return the inner angles."""
        return self.inner.angles(views)

    def anchors(self, view: Tensor) -> Tensor:
        """Return the inner places; modes that render images have none, because noise is that of latents."""
        return self.inner.anchors(view) if self.mode == "latent" else super().anchors(view)

    def render(self, params: Tensor, view: Tensor) -> Tensor:
        """Return the scaled latent of a view."""
        image = self.inner.render(params, view)
        return image if self.mode == "latent" else self.encode(image[None])[0]

    def jacobian(self, params: Tensor, views: Tensor) -> Tensor:
        """Return the Jacobian, the inner one where latents are rendered."""
        return (
            self.inner.jacobian(params, views) if self.mode == "latent" else super().jacobian(params, views)
        )

    def picture(self, params: Tensor) -> Tensor:
        """Return an image (3, H, W) in [-1, 1], the range for pictures of latent models."""
        inner = self.inner.picture(params)
        image = self.decode(inner[None])[0] if self.mode == "latent" else inner.clamp(0, 1)
        return 2 * image - 1

    def encode(self, images: Tensor) -> Tensor:
        """Return the scaled latents of images (N, 3, H, W) in [0, 1]: the encoder's mean."""
        # z = (E(2 y - 1) - shift) * scaling: unit variance over the training set   (Rombach et al. 2022)
        mean = self.vae.encode(2 * images - 1).latent_dist.mean
        return (mean - self.shift) * self.scaling

    def decode(self, latents: Tensor) -> Tensor:
        """Return images in [0, 1] of scaled latents (N, C, h, w)."""
        return (self.vae.decode(latents / self.scaling + self.shift).sample / 2 + 0.5).clamp(0, 1)
