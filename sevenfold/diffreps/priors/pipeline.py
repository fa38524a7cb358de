"""Text-to-image models in a local folder (Stable Diffusion 1.5, 2.1, XL) as priors of latents.

Extra ``sd``: the libraries diffusers and transformers. Nothing is downloaded.
"""

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from sevenfold.config import ConfigError
from sevenfold.diffreps.noise_table import NoiseTable, Prediction, denoised
from sevenfold.diffreps.priors.base import Condition, Prior, spread
from sevenfold.diffreps.process import Table
from sevenfold.errors import InputError
from sevenfold.ranges import Count, Size

logger = logging.getLogger(__name__)
BETAS = {"linear": "linear", "scaled_linear": "scaled_linear", "squaredcos_cap_v2": "cosine"}
SIDES = ("front view", "side view", "back view", "overhead view")
FRONT, OVERHEAD = math.radians(45), math.radians(60)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Activations of one latent image take about this many times the bytes of its widest map.
ACTIVATIONS = 24
GIB = 2**30


@dataclass(frozen=True)
class PromptEmbeddings:
    """The embeddings of P prompts, each worded for S directions of view; the last prompt is the negative one.

    Attributes:
        tokens: (P, S, L, d).
        pooled: (P, S, d) of SDXL, or None.
    """

    tokens: Tensor
    pooled: Tensor | None


class PipelinePrior(Prior):
    """The U-Net of a latent text-to-image model, as a denoiser of scaled latents in sigma space.

    Args:
        unet: called as ``unet(x, t, encoder_hidden_states=..., added_cond_kwargs=...)``.
        table, prediction: of its training.
        prompts: embedded prompts; class k is prompt k, -1 the negative prompt.
        side: of latents.
        by_view: whether prompts name the direction of view, by azimuth and elevation.
        batch: latents evaluated at a time; halved where memory does not suffice.
    """

    tokens: Tensor
    pooled: Tensor | None

    def __init__(
        self,
        unet: Any,
        table: NoiseTable,
        *,
        prediction: Prediction,
        prompts: PromptEmbeddings,
        side: int,
        pixels: int,
        by_view: bool,
        batch: int,
    ) -> None:
        super().__init__()
        self.unet = unet.eval().requires_grad_(False)
        self.shape = (int(unet.config.in_channels), side, side)
        self.classes = len(prompts.tokens) - 1
        self.noise_table, self.prediction, self.process = table, prediction, Table(table)
        self.sigma_min, self.sigma_max = self.process.bounds
        if prediction == "eps" and math.isinf(self.sigma_max):
            raise InputError("eps cannot be read at zero signal; the flag rescale_betas_zero_snr needs v")
        self.by_view, self.batch, self.pixels = by_view, batch, pixels
        self.register_buffer("tokens", prompts.tokens)
        self.register_buffer("pooled", prompts.pooled)

    def denoise(self, z: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return E[x0 | z], as :meth:`at` does."""
        return self.at(z, torch.zeros_like(z), sigma, condition)

    def at(self, y: Tensor, e: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        """Return denoised images, ``batch`` at a time, with sigma moved to an entry of the table."""
        time = self.process.time_of(sigma.double().cpu()).round().long()
        a, s = (spread(level, y) for level in self.process.levels(time))
        prompt, way = condition.labels % (self.classes + 1), self._ways(condition, len(y))
        x, time = a * y + s * e, time.to(y.device)
        while True:
            try:
                parts = [
                    self._call(x[rows], time[rows], prompt[rows], way[rows])
                    for rows in torch.arange(len(y), device=y.device).split(self.batch)
                ]
                return denoised(torch.cat(parts).to(y), x, a, s, self.prediction)
            except torch.OutOfMemoryError:
                if self.batch == 1:
                    raise
                self.batch = (self.batch + 1) // 2
                logger.warning("out of memory; going on with %d latents at a time", self.batch)

    def mean(self) -> Tensor:
        """Return zeros, the center of scaled latents."""
        return torch.zeros(self.shape)

    def _call(self, x: Tensor, time: Tensor, prompt: Tensor, way: Tensor) -> Tensor:
        inner = next(self.unet.parameters()).dtype
        added = None
        if self.pooled is not None:
            # SDXL's size conditioning: original size, crop corner, target size   (Podell et al. 2023)
            sizes = x.new_tensor([self.pixels, self.pixels, 0, 0, self.pixels, self.pixels], dtype=inner)
            added = {"text_embeds": self.pooled[prompt, way].to(inner), "time_ids": sizes.expand(len(x), 6)}
        embedding = self.tokens[prompt, way].to(inner)
        return self.unet(x.to(inner), time, encoder_hidden_states=embedding, added_cond_kwargs=added).sample

    def _ways(self, condition: Condition, count: int) -> Tensor:
        """Return the direction of view of each image: 0 front, 1 side, 2 back, 3 overhead."""
        if not self.by_view:
            return condition.labels.new_zeros(count)
        if condition.views is None or condition.views.shape[1] != 2:
            raise InputError("by_view needs views of azimuth and elevation, as volumes have")
        # azimuths are cyclic: arccos(cos) is the angle from the front on either side
        away = torch.acos(condition.views[:, 0].cos().clamp(-1, 1))  # from the front, 0 to pi
        way = (away > FRONT).long() + (away > math.pi - FRONT).long()
        return torch.where(condition.views[:, 1] > OVERHEAD, 3, way).to(condition.labels.device)


def diffusers_pipeline(
    *,
    path: str,
    prompts: list[str],
    negative: str = "",
    pixels: Size | None = None,
    by_view: bool = False,
    dtype: Literal["float32", "bfloat16"] = "float32",
    batch: Count = 8,
) -> PipelinePrior:
    """Load a text-to-image model of diffusers from a folder; nothing is downloaded.

    Prompts are embedded once, then the text encoders are released. Raises ``InputError`` where the folder
    contains no such pipeline.

    Args:
        path: folder of the pipeline.
        prompts: one for each class.
        negative: the prompt of images without a class.
        pixels: side of images in px; null: the model's own.
        by_view: whether ", front view" and the like are added to prompts.
        dtype: of the network's weights.
        batch: latents evaluated at a time; halved where memory does not suffice.
    """
    if not prompts:
        raise ConfigError("prompts", "needs at least one")
    pipeline = load(path, DTYPES[dtype])
    embeddings = embed_prompts(pipeline, prompts, negative, SIDES if by_view else ("",))
    unet, scale = pipeline.unet, pipeline.vae_scale_factor
    pixels = pixels or int(unet.config.sample_size) * scale
    if pixels % scale:
        raise ConfigError("pixels", f"must be a multiple of {scale}, got {pixels}")
    table, prediction = training_of(pipeline.scheduler)
    prior = PipelinePrior(
        unet, table, prediction=prediction, prompts=embeddings, side=pixels // scale, pixels=pixels,
        by_view=by_view, batch=batch,
    )  # fmt: skip
    logger.info("%s", memory_estimate(unet, pixels // scale, batch))
    return prior


def library() -> Any:
    """Return the library diffusers; raises ``ConfigError`` where it is not installed."""
    try:
        import diffusers
        import transformers  # noqa: F401
    except ImportError:
        raise ConfigError("name", "needs diffusers and transformers: pip install 'sevenfold[sd]'") from None
    return diffusers


def load(path: str, dtype: torch.dtype) -> Any:
    """Return the pipeline of a local folder."""
    if not (Path(path) / "model_index.json").is_file():
        raise InputError(
            f"'{path}' is no folder of a diffusers pipeline (no model_index.json); download one yourself, or "
            f"make a tiny one with python -m sevenfold.diffreps.tiny_pipeline FOLDER"
        )
    pipeline = library().DiffusionPipeline.from_pretrained(
        path, local_files_only=True, dtype=dtype, low_cpu_mem_usage=False
    )
    if not all(hasattr(pipeline, part) for part in ("unet", "vae", "encode_prompt", "scheduler")):
        raise InputError(
            f"'{path}' holds a {type(pipeline).__name__}, no text-to-image U-Net with an autoencoder"
        )
    return pipeline


def embed_prompts(
    pipeline: Any, prompts: list[str], negative: str, ways: tuple[str, ...]
) -> PromptEmbeddings:
    """Embed prompts for all directions of view, the negative one last, and release the text encoders."""
    texts = [[f"{p}, {way}" if way else p for way in ways] for p in prompts] + [[negative] * len(ways)]
    tokens, pooled = [], []
    with torch.no_grad():
        for row in texts:
            parts = pipeline.encode_prompt(
                prompt=row, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
            )
            tokens.append(parts[0])
            pooled += [parts[2]] if len(parts) == 4 else []
    # prompts do not change during a run, and the encoders take more memory than a small U-Net
    for name in ("text_encoder", "text_encoder_2"):
        if getattr(pipeline, name, None) is not None:
            setattr(pipeline, name, None)
    return PromptEmbeddings(torch.stack(tokens), torch.stack(pooled) if pooled else None)


def training_of(scheduler: Any) -> tuple[NoiseTable, Prediction]:
    """Return the noise table and the prediction of a scheduler's configuration."""
    config = scheduler.config
    if config.beta_schedule not in BETAS or config.get("trained_betas") is not None:
        raise InputError(f"the scheduler's betas '{config.beta_schedule}' are none of {', '.join(BETAS)}")
    kinds: dict[str, Prediction] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
    betas: Any = BETAS[config.beta_schedule]
    table = NoiseTable(
        betas, config.beta_start, config.beta_end, config.num_train_timesteps,
        zero_snr=bool(config.get("rescale_betas_zero_snr")),
    )  # fmt: skip
    return table, kinds[config.prediction_type]


def memory_estimate(unet: Any, side: int, batch: int) -> str:
    """Return a text about the memory of a U-Net: its weights, and its activations for a batch of latents."""
    weights = sum(p.numel() * p.element_size() for p in unet.parameters())
    width = max(unet.config.block_out_channels)
    size = next(unet.parameters()).element_size()
    maps = ACTIVATIONS * width * side * side * batch * size
    return (
        f"memory: {weights / GIB:.2f} GiB of weights, roughly {maps / GIB:.2f} GiB for {batch} latents of "
        f"{side}x{side} at a time (the prior's 'batch')"
    )
