"""Architectures as users write them: rows of codes or strings of a space's notation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from sevenfold.arrays import Numbers, tensor
from sevenfold.errors import InputError, shown
from sevenfold.nas.spaces.base import Ints, Space

Cells = Numbers | Sequence[str] | str
"""Architectures as users write them, see :func:`as_cells`."""


def as_cells(space: Space, values: Any, what: str = "cells") -> Ints:
    """Return architectures of a space, (n, width), after checking that they are valid.

    ``values`` are rows of codes (NumPy, pandas, torch or lists), strings in the space's first notation, or
    one of either.

    >>> from sevenfold.nas.spaces.nb201 import NB201
    >>> space = NB201()
    >>> text = space.to_strings(space.archs([7]))[0]
    >>> as_cells(space, text).shape
    (1, 6)
    """
    if isinstance(values, str):
        values = [values]
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else _host(values))
    if array.dtype.kind in "OUT" and all(isinstance(value, str) for value in array.flat):
        archs = space.from_strings([str(value) for value in array.flat])
    else:
        codes = tensor(array, what)
        if codes.is_floating_point() and not (codes == codes.round()).all():
            raise InputError(f"{what}: codes of architectures are whole numbers, got {shown(codes.dtype)}")
        whole = codes.long().numpy()
        archs = space.checked(whole[None] if whole.ndim == 1 else whole)
    if not (valid := space.is_valid(archs)).all():
        first = int(np.flatnonzero(~valid)[0])
        raise InputError(
            f"{what}: {int((~valid).sum())} rows are no architectures of {type(space).__name__}, the first "
            f"is row {first}: {shown(archs[first].tolist())}"
        )
    return archs


def _host(values: Any) -> Any:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values


def cells_of(batch: Any) -> Any:
    """Return the architectures of a plain loader's batch: alone, first of several parts, or ``archs``."""
    if isinstance(batch, Mapping):
        if "archs" not in batch:
            raise InputError(f"a batch of cells needs 'archs', got {shown(sorted(map(str, batch)))}")
        return batch["archs"]
    texts = isinstance(batch, list | tuple) and all(isinstance(part, str) for part in batch)
    return batch[0] if isinstance(batch, list | tuple) and batch and not texts else batch
