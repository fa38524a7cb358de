"""A device that is not there: tensors of the CPU that refuse what tensors of an accelerator refuse.

``on_device()`` opens the world in which it exists; within, ``DEVICE`` may be asked for like any other device.
A tensor there wraps a real tensor of the CPU and reports the device ``meta``. Refused is what an accelerator
refuses: operations that mix its tensors with plain ones of one or more dimensions (an index on the CPU into
a tensor of the device is allowed, the reverse is not), generators of another device, ``numpy()``. Counted is
what an accelerator waits for: values the host reads or copies, sizes that depend on values.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map_only, tree_unflatten

DEVICE = torch.device("meta")
AWAITED = {"_local_scalar_dense", "equal", "nonzero", "masked_select", "_unique2", "unique_dim",
           "unique_consecutive", "unique_dim_consecutive"}  # fmt: skip
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
COPIED = {"copy_", "_to_copy", "copy", "_foreach_copy_"}
STRICT = {"cat", "stack", "where"}  # refuse even a number of the CPU beside tensors of the device


class Elsewhere(Tensor):
    """A tensor of the pretended device; ``inside`` is the tensor that holds its values."""

    inside: Tensor

    @staticmethod
    def __new__(cls, inside: Tensor) -> "Elsewhere":
        made = Tensor._make_wrapper_subclass(
            cls,
            inside.size(),
            strides=inside.stride(),
            storage_offset=inside.storage_offset(),
            dtype=inside.dtype,
            layout=inside.layout,
            device=DEVICE,
            requires_grad=False,
        )
        made.inside = inside.detach()
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Elsewhere({self.inside!r})"

    @property
    def data(self) -> Tensor:  # type: ignore[override]
        return Tensor.data.__get__(self)

    @data.setter
    def data(self, value: Tensor) -> None:
        self.inside = value.inside  # type: ignore[attr-defined]
        Tensor.data.__set__(self, value)

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def new_tensor(self, data: Any, *, dtype: Any = None, **options: Any) -> Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype, device=self.device, **options)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        with torch.no_grad():
            twin = self.clone()
        if getattr(self, "_is_param", False):
            twin = torch.nn.Parameter(twin, self.requires_grad)
        else:
            twin.requires_grad_(self.requires_grad)
        return memo.setdefault(id(self), twin)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} of a tensor of the pretended device outside of on_device()")


class Generator(torch.Generator):
    """A generator that remembers which device it was asked for; its numbers are those of the CPU."""

    elsewhere: bool

    def __new__(cls, device: torch.device | str = "cpu") -> "Generator":
        made = super().__new__(cls, "cpu")
        made.elsewhere = torch.device(device).type == DEVICE.type
        return made


class World(TorchDispatchMode):
    """Run every operation on the real tensors; ``waits`` lists what the host had to wait for."""

    _mode_key = torch._C._TorchDispatchModeKey.FAKE

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.generator: torch.Generator | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func._schema.name.partition("::")[2]
        leaves = tree_leaves((args, kwargs))
        there = [leaf for leaf in leaves if isinstance(leaf, Elsewhere)]
        asked = kwargs.get("device")
        if asked is None and name in ("to", "_to_copy", "pin_memory") or there and asked is None:
            goes = bool(there)
        else:
            goes = asked is not None and torch.device(asked).type == DEVICE.type
        if asked is not None and goes:
            kwargs["device"] = torch.device("cpu")
        self._refuse(func, name, args, leaves, there, goes)
        self._count(name, args, there, goes)
        real_args, real_kwargs = tree_map_only(Elsewhere, lambda t: t.inside, (args, kwargs))
        found = func(*real_args, **real_kwargs)
        if (
            torch.Tag.inplace_view in func.tags and there
        ):  # squeeze_ and such: the wrapper's shape changes too
            with no_dispatch():
                func(*args, **kwargs)
        return self._wrapped(func, args, kwargs, found) if goes else found

    def _refuse(
        self, func: Any, name: str, args: Any, leaves: list[Any], there: list[Any], goes: bool
    ) -> None:
        """Raise what an accelerator raises."""
        drawn = any(isinstance(leaf, torch._C.Generator) for leaf in leaves)
        if drawn and self.generator is not None and getattr(self.generator, "elsewhere", False) != goes:
            raise RuntimeError(f"{func}: a generator of another device than the numbers drawn with it")
        if not there or name in COPIED:
            return
        plain = [leaf for leaf in leaves if isinstance(leaf, Tensor) and not isinstance(leaf, Elsewhere)]
        if name in INDEXED and isinstance(args[0], Elsewhere):
            values = tree_leaves(args[2:3])
            plain = [leaf for leaf in plain if any(leaf is value for value in values)]
        if any(leaf.ndim or name in STRICT for leaf in plain):
            shapes = [tuple(leaf.shape) for leaf in plain]
            raise RuntimeError(f"{func}: tensors of the CPU {shapes} beside tensors of the device")

    def _count(self, name: str, args: Any, there: list[Any], goes: bool) -> None:
        """Note what the host waits for: values it reads, sizes it needs."""
        home = name in COPIED and there and (not goes or not isinstance(args[0], Elsewhere | list))
        masks = name in INDEXED and any(
            isinstance(i, Elsewhere) and i.dtype in (torch.bool, torch.uint8) for i in tree_leaves(args[1])
        )
        if there and (name in AWAITED or home or masks):
            self.waits.append(name)

    def _wrapped(self, func: Any, args: Any, kwargs: Any, found: Any) -> Any:
        """Return tensors of the device: an argument itself where the operation writes into it."""
        written: dict[int, Tensor] = {}
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Elsewhere):
                written[id(leaf.inside)] = leaf
        leaves, spec = tree_flatten(found)
        own = written if func._schema.is_mutable else {}
        wrapped = [
            (own[id(leaf)] if id(leaf) in own else Elsewhere(leaf)) if isinstance(leaf, Tensor) else leaf
            for leaf in leaves
        ]
        return tree_unflatten(wrapped, spec)


class Asked(TorchFunctionMode):
    """Remember which generator a function was given: operations see a copy that has forgotten its device."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before, kwargs = self.world.generator, kwargs or {}
        self.world.generator = kwargs.get("generator", before)
        try:
            return func(*args, **kwargs)
        finally:
            self.world.generator = before


@contextmanager
def on_device() -> Iterator[World]:
    """Open the world in which the device exists; what knows no such device is told the CPU's instead."""
    with pytest.MonkeyPatch.context() as patch, World() as world, Asked(world):
        patch.setattr(torch, "Generator", Generator)
        autocast, enabled = torch.autocast.__init__, torch.is_autocast_enabled

        def cast(self: Any, device_type: str, *rest: Any, **options: Any) -> None:
            autocast(self, known(device_type), *rest, **options)

        patch.setattr(torch.autocast, "__init__", cast)
        for name in ("tensor", "as_tensor"):
            patch.setattr(torch, name, placed(getattr(torch, name)))
        adam = sys.modules["torch.optim.adam"]
        patch.setattr(adam, "_device_dtype_check_for_fused", lambda *_, **__: None)
        patch.setattr(torch, "is_autocast_enabled", lambda kind="cuda": enabled(known(kind)))
        yield world


def placed(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a maker of tensors from data that fills tensors of the device, which torch leaves empty."""

    def filled(data: Any, *, device: Any = None, **options: Any) -> Tensor:
        if device is None or torch.device(device).type != DEVICE.type:
            return make(data, device=device, **options)
        if isinstance(data, Elsewhere):
            return data.to(**options) if options else data
        return make(data, **options).to(DEVICE)

    return filled


def known(device_type: str) -> str:
    """Return the CPU's name for the device's, any other as it is."""
    return "cpu" if device_type == DEVICE.type else device_type


def home(value: Any) -> Any:
    """Return values as plain tensors of the CPU, whatever they are packed in."""
    return tree_map_only(Elsewhere, lambda t: t.inside.clone(), value)
