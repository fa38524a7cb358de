"""What rows or images of people and classifiers exchange."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor
from torch.utils.data import Dataset

from sevenfold.fairness.data.table import Part


class RowBatch(NamedTuple):
    """Features (B, F), labels (B,) and groups (B,)."""

    x: Tensor
    y: Tensor
    a: Tensor


class AttributeBatch(NamedTuple):
    """Images (B, 3, H, W), labels (B,) and groups (B,)."""

    x: Tensor
    y: Tensor
    a: Tensor


@dataclass(frozen=True)
class InputFacts:
    """What a classifier must know of its data: one input, without a batch axis."""

    example: Tensor


class RowDataset(Dataset[RowBatch]):
    """The rows of a part of a table."""

    def __init__(self, part: Part) -> None:
        self.part = part

    def __len__(self) -> int:
        return len(self.part.y)

    def __getitem__(self, index: int) -> RowBatch:
        return RowBatch(self.part.x[index], self.part.y[index], self.part.a[index])
