"""What images and the training of denoisers exchange."""

from typing import NamedTuple

from torch import Tensor
from torch.utils.data import Dataset

from sevenfold.diffreps.sources import Images


class ImageBatch(NamedTuple):
    """Images (B, C, H, W) and labels (B,)."""

    images: Tensor
    labels: Tensor


class ImageDataset(Dataset[ImageBatch]):
    """Some of the images of a source, by their numbers ``rows``."""

    def __init__(self, source: Images, rows: Tensor) -> None:
        self.images, self.labels = source.images[rows], source.labels[rows]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> ImageBatch:
        return ImageBatch(self.images[index], self.labels[index])
