"""States and arguments as users have them, tuples, lists and dictionaries of tensors, and as flat tuples.

The one file that uses ``torch.utils._pytree``, torch's private reader of nested structures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from sevenfold.deq.base import State
from sevenfold.deq.errors import PreflightError
from sevenfold.errors import InputError


@dataclass(frozen=True)
class Tree:
    """The structure of a state, and the tensors that it was read from.

    Example:
        >>> tree = Tree.of({"h": torch.zeros(2, 3), "c": [torch.ones(2, 1)]})
        >>> len(tree.start), tree.paths
        (2, ("['h']", "['c'][0]"))
    """

    start: State
    spec: Any
    paths: tuple[str, ...]

    @classmethod
    def of(cls, state: Any) -> "Tree":
        """Read the structure of a state; every leaf must be a floating tensor."""
        with_paths, spec = _pytree.tree_flatten_with_path(state)
        paths = tuple(_pytree.keystr(path) for path, _ in with_paths)
        leaves = tuple(leaf for _, leaf in with_paths)
        if not leaves:
            raise InputError("a state needs at least one tensor, got none")
        for path, leaf in zip(paths, leaves, strict=True):
            if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
                what = f"a tensor of {leaf.dtype}" if isinstance(leaf, Tensor) else f"a {type(leaf).__name__}"
                raise InputError(f"state{path} is {what}; a state holds floating tensors alone")
        return cls(leaves, spec, paths)

    def build(self, leaves: tuple[Tensor, ...]) -> Any:
        """Return leaves in this structure."""
        return _pytree.tree_unflatten(list(leaves), self.spec)

    def leaves(self, state: Any) -> State:
        """Return the leaves of what f returned; it must have this structure and these shapes."""
        leaves, spec = _pytree.tree_flatten(state)
        if spec != self.spec:
            raise PreflightError(
                "structure", f"f must return the structure of its state, {self._named()}, got {spec}"
            )
        for path, before, after in zip(self.paths, self.start, leaves, strict=True):
            if not isinstance(after, Tensor):
                raise PreflightError("structure", f"state{path}: f returned a {type(after).__name__}")
            if before.shape != after.shape:
                raise PreflightError(
                    "structure",
                    f"state{path}: {tuple(before.shape)} given, {tuple(after.shape)} returned by f",
                )
        return tuple(leaves)

    def _named(self) -> str:
        return ", ".join(f"state{path}" for path in self.paths)


def flatten(args: Any) -> tuple[State, Callable[[State], Any]]:
    """Return the tensors among the arguments, and a function that puts others in their places."""
    leaves, spec = _pytree.tree_flatten(args)
    # Arguments of other types (numbers, texts, None) are passed on unchanged.
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def place(tensors: State) -> Any:
        whole = list(leaves)
        for i, tensor in zip(places, tensors, strict=True):
            whole[i] = tensor
        return _pytree.tree_unflatten(whole, spec)

    return tuple(leaves[i] for i in places), place


def lifted(f: Callable[..., Any], args: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a function and its arguments; a module's parameters and buffers become the last argument."""
    given = tuple(args) if isinstance(args, tuple | list) else (args,)
    if not isinstance(f, nn.Module):
        return f, given
    values = {**dict(f.named_parameters()), **dict(f.named_buffers())}

    def call(z: Any, *rest: Any) -> Any:
        return torch.func.functional_call(f, rest[-1], (z, *rest[:-1]))

    return call, (*given, values)
