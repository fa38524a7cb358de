"""Batches of rows or images with labels and groups, and their conversion from any loader."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils.data import Dataset

from sevenfold.arrays import groups, labels
from sevenfold.errors import InputError, shown
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
    """The shape of a classifier's inputs, shown by one input without a batch axis."""

    example: Tensor


class RowDataset(Dataset[RowBatch]):
    """The rows of a part of a table."""

    def __init__(self, part: Part) -> None:
        self.part = part

    def __len__(self) -> int:
        return len(self.part.y)

    def __getitem__(self, index: int) -> RowBatch:
        return RowBatch(self.part.x[index], self.part.y[index], self.part.a[index])


def parts_of(batch: Any) -> tuple[Any, ...]:
    """Return the parts of a batch of any loader, a sequence or mapping: ``x`` alone, or x, y and a."""
    if isinstance(batch, Mapping):
        batch = [batch[key] for key in ("x", "y", "a") if key in batch]
    # a named tuple such as RowBatch is a tuple, too
    parts = tuple(batch) if isinstance(batch, list | tuple) else (batch,)
    if not parts:
        raise InputError("a batch needs 'x', and to train or to score 'y' and 'a'")
    return parts


def complete(batch: Any, inputs: Callable[[Any], Tensor]) -> RowBatch:
    """Return a batch of a plain loader as tensors; ``inputs`` converts x.

    Labels and groups are 0 and 1: 1 is the favorable label and the privileged group.
    """
    parts = parts_of(batch)
    if len(parts) != 3:
        raise InputError(
            f"a batch to train on or to score is (x, y, a): inputs, labels, groups; got {len(parts)} parts"
        )
    x, y, a = inputs(parts[0]), labels(parts[1], "y"), groups(parts[2], "a")
    if not len(x) == len(y) == len(a):
        raise InputError(f"x, y and a have {shown([len(x), len(y), len(a)])} rows")
    return RowBatch(x, y.to(x.device), a.to(x.device))
