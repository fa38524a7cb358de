"""What cells of a benchmark and predictors exchange."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict, cast

import numpy as np
import torch
from torch import Tensor

from sevenfold.arrays import tensor
from sevenfold.errors import InputError
from sevenfold.nas.spaces.base import Space
from sevenfold.nas.spaces.cells import as_cells, cells_of


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


def complete(batch: Any, space: Space, *, members: int | None) -> CellBatch:
    """Return a batch of any loader as a :class:`CellBatch`; one of the suite's data modules is one already.

    Args:
        batch: ``(archs, targets)`` or a mapping with these keys; cells are rows of codes or strings.
        space: of the cells.
        members: networks in training, which all get the same cells; None in evaluation.
    """
    whole = isinstance(batch, Mapping) and {"archs", "targets"} <= batch.keys()
    if whole and ("removed" in batch or getattr(batch["archs"], "ndim", 2) == 3):
        return cast(CellBatch, batch)
    if not whole and not (isinstance(batch, list | tuple) and len(batch) == 2):
        raise InputError("a batch to train on or to score is (archs, targets), or a mapping with these keys")
    archs = torch.as_tensor(as_cells(space, cells_of(batch)).astype(np.int64))
    targets = tensor(batch["targets"] if whole else batch[1], "targets").float().flatten()
    if len(targets) != len(archs):
        raise InputError(f"{len(archs)} cells need as many targets, got {len(targets)}")
    archs = archs.to(targets.device)
    if members is not None:
        archs, targets = archs.expand(members, *archs.shape), targets.expand(members, -1)
    return {"archs": archs, "targets": targets}
