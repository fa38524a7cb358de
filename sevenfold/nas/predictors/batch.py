"""What cells of a benchmark and predictors exchange."""

from dataclasses import dataclass
from typing import NotRequired, TypedDict

from torch import Tensor


class CellBatch(TypedDict):
    """Cells of a search space with their final errors.

    In training ``archs`` is (members, B, width) and ``targets`` (members, B), an order for each member of an
    ensemble; in evaluation (N, width) and (N,), with ``removed``, the number of cells that were left out
    because their network had come up before.
    """

    archs: Tensor
    targets: Tensor
    removed: NotRequired[Tensor]


@dataclass(frozen=True)
class CellFacts:
    """What a predictor must know of its data: the ``targets`` of all training cells, (train,)."""

    targets: Tensor
