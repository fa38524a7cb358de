"""Batches of images with labels for the training of denoisers, and their conversion from any loader."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from sevenfold.arrays import channels_first, tensor
from sevenfold.diffreps.sources import Images
from sevenfold.errors import InputError


class Picture(NamedTuple):
    """The shape (C, H, W) of images and the range of their values."""

    shape: tuple[int, int, int]
    range: tuple[float, float]

    @classmethod
    def like(cls, images: Tensor) -> "Picture":
        """Infer both from a batch (B, C, H, W): the range is [0, 1], or [-1, 1] where a value is negative."""
        # A wrong guess would rescale all images, so values outside [-1, 1] are refused.
        low, high = float(images.min()), float(images.max())
        if low < -1 or high > 1:
            raise InputError(
                f"images lie between {low:g} and {high:g}: bring them to [0, 1] or [-1, 1], or call "
                "prepare_for() with their range"
            )
        channels, height, width = images.shape[1:]
        return cls((channels, height, width), (-1.0 if low < 0 else 0.0, 1.0))


class ImageBatch(NamedTuple):
    """Images (B, C, H, W) and labels (B,)."""

    images: Tensor
    labels: Tensor


def noisy_images(values: Any, what: str = "images", *, channels: int) -> Tensor:
    """Return images of any range as float32 (B, C, H, W); bytes 0..255 become [0, 1]."""
    images = channels_first(tensor(values, what), what, channels)
    return images.float() / (1 if images.is_floating_point() else 255)


def complete(batch: Any, channels: int) -> ImageBatch:
    """Return a batch of a plain loader: images, ``(images, labels)``, or a mapping with these keys.

    Labels are whole numbers from 0, -1 for none.
    """
    if isinstance(batch, Mapping):
        batch = [batch[key] for key in ("images", "labels") if key in batch]
    parts = batch if isinstance(batch, list | tuple) else [batch]
    if not parts or len(parts) > 2:
        raise InputError(f"a batch to denoise is images or (images, labels), got {len(parts)} parts")
    images = noisy_images(parts[0], channels=channels)
    # labels are optional: an unconditional denoiser is trained without them
    none = torch.full((len(images),), -1, device=images.device)
    labels = tensor(parts[1], "labels").long().to(images.device) if len(parts) == 2 else none
    if labels.shape != none.shape:
        raise InputError(f"labels must be ({len(images)},), one an image, got {tuple(labels.shape)}")
    return ImageBatch(images, labels)


class ImageDataset(Dataset[ImageBatch]):
    """Some of the images of a source, by their numbers ``rows``."""

    def __init__(self, source: Images, rows: Tensor) -> None:
        self.images, self.labels = source.images[rows], source.labels[rows]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> ImageBatch:
        return ImageBatch(self.images[index], self.labels[index])

    def __getitems__(self, indices: list[int]) -> ImageBatch:
        """Return a batch at once: image by image its loading would take longer than a step on a GPU."""
        return ImageBatch(self.images[indices], self.labels[indices])


def whole(batch: Any) -> Any:
    """Return a batch that a data set gave at once, which needs no collation."""
    return batch
