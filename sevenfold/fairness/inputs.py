"""Rows, labels and groups of the user as tensors of a network's type, with bad rows named."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sevenfold.arrays import tensor
from sevenfold.errors import InputError, shown, suggest
from sevenfold.fairness.groups import Groups

PARTS = ("x", "y", "a")


def place_of(module: nn.Module) -> torch.device | None:
    """Return the device of a module's parameters or buffers; None where it has neither."""
    tensors = itertools.chain(module.parameters(), module.buffers())
    return next((tensor.device for tensor in tensors), None)


def type_of(module: nn.Module) -> torch.dtype:
    """Return the type of a module's first parameter of floating point."""
    kinds = (p.dtype for p in itertools.chain(module.parameters(), module.buffers()) if p.is_floating_point())
    return next(kinds, torch.float32)


def host(values: Any) -> NDArray[Any]:
    """Return values of any device as an array."""
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)


@dataclass(frozen=True)
class Inputs:
    """What inputs a network takes: the shape of one, their type and device, and names of columns, if any."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device | None
    columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, module: nn.Module, x: Any, device: torch.device | None = None) -> "Inputs":
        """Return the inputs of a module, from an example of its rows."""
        columns = tuple(map(str, x.columns)) if hasattr(x, "columns") else ()
        shape = tuple(np.shape(x)[1:])
        # codes of words stay whole numbers
        words = any(isinstance(part, nn.Embedding) for part in module.modules())
        return cls(shape, torch.int64 if words else type_of(module), device or place_of(module), columns)

    def convert(self, x: Any) -> Tensor:
        """Return rows as a tensor; columns of a table are taken by name, bad values named by place."""
        if self.columns and hasattr(x, "columns"):
            names = list(map(str, x.columns))
            missing = [name for name in self.columns if name not in names]
            if missing:
                raise InputError(f"X has no column '{missing[0]}'. {suggest(missing[0], names)}")
            x = x[list(self.columns)]
        values = x if isinstance(x, Tensor) else _finite(x)
        if isinstance(values, Tensor) and values.is_floating_point():
            _refuse(values)
        rows = tensor(values, "X")
        if tuple(rows.shape[1:]) != self.shape:
            raise InputError(f"X has rows of shape {tuple(rows.shape[1:])}; the fit's were {self.shape}")
        return rows.to(self.dtype) if self.device is None else rows.to(self.device, self.dtype)


def _finite(x: Any) -> Any:
    """Return numbers of a table or list as a tensor, before infinite values are looked for."""
    array = np.asarray(x.to_numpy() if hasattr(x, "to_numpy") else x)
    if array.dtype.kind == "f":
        return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))
    return x


def _refuse(x: Tensor) -> None:
    """Raise where values are missing or infinite, naming the column and the first row."""
    for what, bad in (("missing", x.isnan()), ("infinite", x.isinf())):
        if not bool(bad.any()):
            continue
        first = bad.nonzero()[0].tolist()
        column = f"column {first[1]} has " if x.ndim == 2 else ""
        count = int(bad[:, first[1]].sum()) if x.ndim == 2 else int(bad.sum())
        places = f"{what} values in {count} places"
        raise InputError(f"X: {column}{places}, first at row {first[0]}; fill them or leave the rows out")


def labels_of(y: Any, favorable: Any, device: torch.device) -> Tensor:
    """Return labels as 0 and 1: two values of any kind, of which ``favorable`` names the one that is 1."""
    array = host(y)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim != 1:
        raise InputError(f"the label has shape {array.shape}; expected one a row")
    values = sorted({str(v) for v in array.tolist()})
    if any(v.casefold() in ("nan", "none", "") for v in values):
        raise InputError("the label has missing values; leave these rows out")
    if favorable is None:
        numbers = array.astype(float) if array.dtype.kind in "biuf" else np.array([np.nan])
        if sorted(set(numbers.tolist())) != [0.0, 1.0]:
            listed = [float(v) for v in values[:6]] if array.dtype.kind in "biuf" else values[:6]
            raise InputError(
                f"the label must be 0 and 1, both present, 1 being the favorable outcome; found {listed}. "
                "Name the favorable one of two values with favorable=..."
            )
        return torch.as_tensor(numbers, device=device).long()
    if len(values) != 2 or str(favorable) not in values:
        raise InputError(
            f"the label has the values {shown(values[:6])}; favorable={favorable!r} must be one of two"
        )
    return torch.as_tensor(np.array([str(v) == str(favorable) for v in array.tolist()]), device=device).long()


def groups_from(sensitive: Any, options: Mapping[str, Any] | None) -> Groups:
    """Return groups from what a user gives: 0/1 codes as two groups, anything else by its values."""
    if isinstance(sensitive, Groups):
        return sensitive
    if sensitive is None:
        raise InputError("sensitive_features is missing: columns of groups, or 1 for the privileged group")
    plain = not isinstance(sensitive, Mapping) and not hasattr(sensitive, "columns") and options is None
    if plain and (array := host(sensitive)).dtype.kind in "biuf" and array.ndim == 1:
        values = set(np.unique(array).tolist())
        if values == {0, 1}:
            return Groups(torch.as_tensor(array).long())
        if values in ({0}, {1}):
            raise InputError(f"sensitive_features has one group only ({values}); nothing can be compared")
    known = ("spec", "cross", "small", "missing_codes")
    for name in options or {}:
        if name not in known:
            raise InputError(f"groups has no option '{name}'. {suggest(name, known)}")
    return Groups.of(sensitive, **(options or {}))


def batches(source: Any) -> Iterator[tuple[Any, ...]]:
    """Return the batches (x, y, a) of a loader as tuples."""
    if (
        not isinstance(source, Iterable)
        or isinstance(source, Tensor | np.ndarray)
        or hasattr(source, "columns")
    ):
        raise InputError("give y and sensitive_features, or an iterable of batches (x, y, a)")
    for batch in source:
        parts = tuple(batch[k] for k in PARTS) if isinstance(batch, Mapping) else tuple(batch)[:3]
        if len(parts) != 3:
            raise InputError(f"a batch is (x, y, a); got {len(parts)} parts")
        yield parts


def joined(source: Any) -> tuple[Any, Any, Any]:
    """Return all batches of a loader as one x, y and a; it is read once."""
    parts = list(zip(*batches(source), strict=True))
    if not parts:
        raise InputError("the loader has no batch")
    x, y, a = map(_concatenated, parts)
    return x, y, a


def _concatenated(parts: Sequence[Any]) -> Any:
    if all(isinstance(part, Tensor) for part in parts):
        return torch.cat(list(parts))
    return np.concatenate([host(part) for part in parts])
