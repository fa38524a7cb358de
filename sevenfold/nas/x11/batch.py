"""What curve tables and the modules that learn from them exchange."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from sevenfold.nas.x11.tensor import CurveTensor


class CurveBatch(NamedTuple):
    """Numbers (B,) of training architectures, whose curves the module has; a test batch is a
    :class:`sevenfold.nas.x11.parts.JudgedPart`.
    """

    rows: Tensor


@dataclass(frozen=True)
class CurveFacts:
    """What a module must know of its data before training.

    ``training``: all that it learns from. ``separate_run``: whether it is judged on a separate run.
    """

    training: CurveTensor
    separate_run: bool


class RowNumbers(Dataset[CurveBatch]):
    """The numbers 0, ..., ``count`` - 1."""

    def __init__(self, count: int) -> None:
        self.rows = torch.arange(count)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> CurveBatch:
        return CurveBatch(self.rows[index])
