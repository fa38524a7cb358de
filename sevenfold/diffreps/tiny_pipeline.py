"""A tiny, randomly initialized text-to-image pipeline, to test everything around the real ones.

``python -m sevenfold.diffreps.tiny_pipeline FOLDER`` writes it. It has all parts of a real pipeline, but its
images show nothing.
"""

import argparse
import json
import string
import tempfile
from pathlib import Path
from typing import Any

import torch

from sevenfold.diffreps.priors.pipeline import library

TOKENS = 16
WIDTH = 32
SIDE = 8


def write(folder: str | Path, *, seed: int = 0, prediction: str = "epsilon") -> None:
    """Save a pipeline of Stable Diffusion's kind: 8x8 latents of 4 channels, images of 16x16 pixels."""
    diffusers = library()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tokenizer, encoder = _text()
        pipeline = diffusers.StableDiffusionPipeline(
            vae=_autoencoder(diffusers), text_encoder=encoder, tokenizer=tokenizer, unet=_unet(diffusers),
            scheduler=diffusers.DDIMScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                steps_offset=1,
                set_alpha_to_one=True, timestep_spacing="trailing", prediction_type=prediction,
            ),
            safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
    pipeline.save_pretrained(folder)


def _unet(diffusers: Any) -> Any:
    return diffusers.UNet2DConditionModel(
        sample_size=SIDE, in_channels=4, out_channels=4, block_out_channels=(16, 32), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH, attention_head_dim=4, norm_num_groups=8,
    )  # fmt: skip


def _autoencoder(diffusers: Any) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4, sample_size=2 * SIDE,
    )  # fmt: skip


def _text() -> tuple[Any, Any]:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    # A tokenizer of single letters needs no vocabulary file.
    letters = string.ascii_lowercase + string.digits + ",.-"
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary, merges = Path(folder) / "vocab.json", Path(folder) / "merges.txt"
        vocabulary.write_text(json.dumps({word: number for number, word in enumerate(words)}))
        merges.write_text("#version: 0.2\n")
        tokenizer = CLIPTokenizer(vocab=str(vocabulary), merges=str(merges), model_max_length=TOKENS)
    config = CLIPTextConfig(
        vocab_size=len(words), hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=TOKENS, bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1, pad_token_id=len(words) - 1,
    )  # fmt: skip
    return tokenizer, CLIPTextModel(config)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("sevenfold.diffreps.tiny_pipeline")
    parser.add_argument("folder", help="where to write the pipeline")
    write(parser.parse_args().folder)
