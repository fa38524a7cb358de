"""Conversion of users' values to tensors: NumPy, pandas, lists and torch.

Every function names in its messages, as ``what``, the argument that is at fault.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sevenfold.errors import InputError, one_line, shown

Numbers = ArrayLike | Tensor
"""Numbers as users have them: an array, a table of pandas, a picture, nested lists, or a tensor."""


def tensor(values: Any, what: str) -> Tensor:
    """Return numbers as a tensor of their own type: of NumPy, pandas, pictures, nested lists or torch.

    A tensor stays on its device. Raises ``InputError`` for ragged lists, texts and values that are not
    finite.

    >>> tensor([[1, 2], [3, 4]], "x").shape
    torch.Size([2, 2])
    """
    if isinstance(values, list | tuple) and values and all(isinstance(value, Tensor) for value in values):
        values = _stacked(values, what)
    if not isinstance(values, Tensor):
        values = _from_array(values, what)
    if values.is_complex() or values.is_sparse:
        raise InputError(f"{what}: expected a dense tensor of real numbers, got {values.dtype}")
    if values.is_floating_point() and not (known := values.isfinite()).all():
        # Only the first place: a broken column would print thousands.
        place = tuple((~known).nonzero()[0].tolist())
        raise InputError(
            f"{what}: {int((~known).sum())} values are not finite (NaN or infinity), the first at {place}; "
            "fill them or leave their rows out"
        )
    return values


def _stacked(values: Sequence[Tensor], what: str) -> Tensor:
    if len(shapes := {tuple(value.shape) for value in values}) > 1:
        raise InputError(f"{what}: a list of tensors of different shapes, {shown(sorted(shapes))}")
    return torch.stack(list(values))


def _from_array(values: Any, what: str) -> Tensor:
    try:
        array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    except (ValueError, TypeError) as error:
        raise InputError(f"{what}: expected numbers in a regular array: {one_line(error)}") from None
    if array.dtype == object and array.size and all(isinstance(v, int | float) for v in array.flat):
        array = array.astype(np.float64)  # columns of a table that have different types
    if array.dtype.kind not in "biuf":
        texts = [name for name, kind in getattr(values, "dtypes", {}).items() if kind.kind not in "biuf"]
        where = f" (columns {', '.join(map(str, texts))})" if texts else ""
        raise InputError(f"{what}: expected numbers, got values of type {array.dtype}{where}")
    # Bytes stay bytes, for images() tells them from fractions by their type.
    small = array.dtype.kind in "iu" and array.dtype != np.uint8
    kind = np.int64 if small else np.float64 if array.dtype.itemsize > 8 else array.dtype.newbyteorder("=")
    return torch.from_numpy(np.array(array, dtype=kind, order="C"))


def rows(values: Any, what: str = "rows", *, features: int | None = None) -> Tensor:
    """Return rows of numbers as float32 (n, features); one row alone may be given flat.

    >>> rows([1, 2, 3], features=3)
    tensor([[1., 2., 3.]])
    """
    table = tensor(values, what).float()
    if table.ndim == 1 and features in (len(table), 1):
        table = table.view(-1, features or 1)
    if table.ndim != 2 or (features is not None and table.shape[1] != features):
        expected = "(n, features)" if features is None else f"(n, {features})"
        raise InputError(f"{what}: expected rows of shape {expected}, got shape {tuple(table.shape)}")
    return table


def images(values: Any, what: str = "images", *, channels: int = 3) -> Tensor:
    """Return pictures as float32 (B, C, H, W) in [0, 1].

    One picture or a batch; channels first or last; bytes 0..255 (any integer type) or floats in [0, 1].
    Where both ends of a shape could be channels, integers have them last, as files do, and floats first.

    >>> images(np.zeros((48, 64, 3), np.uint8)).shape
    torch.Size([1, 3, 48, 64])
    """
    pictures = channels_first(tensor(values, what), what, channels)
    low, high = (float(pictures.min()), float(pictures.max())) if pictures.numel() else (0.0, 0.0)
    if pictures.is_floating_point():
        if low < 0 or high > 1:
            advice = "divide by 255, or give bytes" if low >= 0 else "bring them to [0, 1]"
            raise InputError(f"{what}: floats must lie in [0, 1], got {low:g} to {high:g}; {advice}")
        return pictures.float()
    if low < 0 or high > 255:
        raise InputError(f"{what}: integers must lie in 0..255, got {low:g} to {high:g}")
    if high == 1 and low == 0:
        raise InputError(
            f"{what}: integers that are only 0 and 1: a picture in [0, 1] that was cast? Give floats, or "
            "bytes 0..255"
        )
    return pictures.float() / 255


def channels_first(values: Tensor, what: str, channels: int) -> Tensor:
    """Return one map or a batch, with channels first or last, as (B, C, H, W)."""
    batch = values[None] if values.ndim == 3 else values
    if batch.ndim == 4:
        first, last = batch.shape[1] == channels, batch.shape[3] == channels
        # A shape such as (3, 64, 3) fits both ways: files hold bytes last, tensors hold floats first.
        if last and not (first and batch.is_floating_point()):
            return batch.permute(0, 3, 1, 2)
        if first:
            return batch
    raise InputError(
        f"{what}: expected {channels} channels, (C, H, W) or (H, W, C), one or a batch, got shape "
        f"{tuple(values.shape)}"
    )


def labels(values: Any, what: str) -> Tensor:
    """Return 0/1 labels or groups as int64 (n,).

    >>> labels([True, False], "y")
    tensor([1, 0])
    """
    codes = tensor(values, what).flatten()
    if not ((codes == 0) | (codes == 1)).all():
        raise InputError(f"{what}: expected 0 and 1, got {shown(codes.unique()[:5].tolist())}")
    return codes.long()


def groups(values: Any, what: str = "a", *, privileged: str | None = None) -> Tensor:
    """Return groups as int64 (n,), 1 for the privileged one; names of groups need ``privileged``.

    >>> groups(["woman", "man"], privileged="man")
    tensor([0, 1])
    """
    array = np.asarray(values.cpu() if isinstance(values, Tensor) else values)
    if array.dtype.kind not in "OUST":
        return labels(values, what)
    names = sorted({str(value) for value in array.flat})
    if privileged is None or privileged not in names:
        known = ", ".join(names[:8])
        raise InputError(f"{what}: groups by name need privileged=... , one of: {known}; got {privileged!r}")
    return torch.from_numpy((array.astype(str) == privileged).astype(np.int64)).flatten()
