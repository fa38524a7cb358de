"""Images with labels and attributes: a folder with a CSV file, or synthetic shapes of correlated hue."""

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from sevenfold.errors import InputError
from sevenfold.fairness.batch import AttributeBatch
from sevenfold.fairness.data.table import check_groups, check_labels
from sevenfold.seeding import torch_generator

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalize(image: Tensor) -> Tensor:
    """Standardize an image (3, H, W) in [0, 1] as ImageNet's networks expect."""
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, DEVIATION))
    return (image - mean) / deviation


class AttributeFolder(Dataset[AttributeBatch]):
    """Images of a folder with a CSV file: columns ``image``, the label and the protected attribute, 0/1.

    Label 1 is favorable, attribute 1 privileged. The columns may also hold scores of a classifier (such as of
    skin tone): values above ``threshold`` count as 1. What an attribute measures is for the user to state.
    """

    def __init__(
        self,
        root: str | Path,
        table: str | Path,
        label: str,
        protected: str,
        *,
        size: int = 224,
        threshold: float = 0.5,
    ) -> None:
        if not Path(table).is_file():
            raise InputError(f"'{table}' does not exist; expected a CSV file with images and attributes")
        with open(table, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for name in ("image", label, protected):
            if not rows or name not in rows[0]:
                raise InputError(f"'{table}' has no column '{name}'; it needs image, {label} and {protected}")
        self.paths = [Path(root) / row["image"] for row in rows]
        absent = [path for path in self.paths if not path.is_file()]
        if absent:
            raise InputError(f"{len(absent)} images are missing, the first is '{absent[0]}'")
        self.y, self.a = (
            torch.tensor([float(row[name]) > threshold for row in rows]).long() for name in (label, protected)
        )
        self.size = size
        check_labels(self.y, f"column '{label}'")
        check_groups(self.a, protected)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> AttributeBatch:
        image = Image.open(self.paths[index]).convert("RGB").resize((self.size, self.size))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        return AttributeBatch(normalize(pixels), self.y[index], self.a[index])


class Shapes(Dataset[AttributeBatch]):
    """Discs (label 1) and squares on a warm (privileged) or cold background; hue and label are correlated."""

    def __init__(self, n: int = 600, *, size: int = 32, seed: int = 0) -> None:
        generator = torch_generator(seed, "shapes")
        self.a = (torch.rand(n, generator=generator) < 0.5).long()
        # P(y = 1 | a) is .3 or .7: hue predicts the label, and a classifier learns it as a shortcut
        self.y = (torch.rand(n, generator=generator) < 0.3 + 0.4 * self.a).long()
        self.noise = 0.15 * torch.randn(n, 3, size, size, generator=generator)
        self.center = size * (0.35 + 0.3 * torch.rand(n, 2, generator=generator))
        self.size = size

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> AttributeBatch:
        places = torch.arange(self.size) + 0.5
        dy, dx = places[:, None] - self.center[index, 0], places[None] - self.center[index, 1]
        radius = 0.2 * self.size
        disc = dy**2 + dx**2 < radius**2
        # half side .886 r: discs and squares have the same area, so that size does not reveal the label
        square = torch.maximum(dy.abs().expand_as(disc), dx.abs().expand_as(disc)) < radius * 0.886
        shape = disc if self.y[index] else square
        hue = torch.tensor([0.7, 0.45, 0.3] if self.a[index] else [0.3, 0.45, 0.7]).view(3, 1, 1)
        image = torch.where(shape, torch.full_like(hue, 0.9), hue) + self.noise[index]
        return AttributeBatch(normalize(image.clamp(0, 1)), self.y[index], self.a[index])
